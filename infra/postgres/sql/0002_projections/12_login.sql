-- Whom the session's own login stands for. The definer's rights are needed because
-- nobody else may read access.logins; session_user stays the login all the same.
CREATE FUNCTION access.login()
    RETURNS access.logins
    LANGUAGE sql
    STABLE
    SECURITY DEFINER
    PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT l
    FROM access.logins AS l
    WHERE l.login = session_user
);

REVOKE ALL
    ON FUNCTION access.login()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.login()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
