-- The verified address of the user for whom the session's own login stands, in lower
-- case, or NULL.
CREATE FUNCTION access.login_email()
    RETURNS text
    LANGUAGE plpgsql
    STABLE
    SECURITY DEFINER
    PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known access.logins := access.login();
BEGIN
    IF known.actor LIKE 'user:%' AND to_regclass('access.users') IS NOT NULL THEN
        RETURN (
            SELECT lower(u.email)
            FROM access.users AS u
            WHERE u.id::text = substr(known.actor, 6)
              AND u.org_id = known.org_id
              AND u.is_verified
        );
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL
    ON FUNCTION access.login_email()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.login_email()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
