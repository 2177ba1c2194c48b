-- Whom the session's own login stands for: the operator's is in access.logins, those of
-- people are in the read table of that, with the roles that they hold just now. The
-- definer's rights are needed because who asks may read none of them; session_user
-- stays the login all the same. Only columns that no column policy hides are read here,
-- since such a policy asks for the login.
CREATE OR REPLACE FUNCTION access.login()
    RETURNS access.logins
    LANGUAGE plpgsql
    STABLE
    SECURITY DEFINER
    PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known access.logins;
BEGIN
    SELECT l.*
    INTO known
    FROM access.logins AS l
    WHERE l.login = session_user;

    IF known.login IS NULL AND to_regclass('access.sql_logins') IS NOT NULL THEN
        SELECT s.login,
               s.org_id,
               'user:' || s.user_id,
               ARRAY(
                   SELECT g.area || ':' || g.role
                   FROM access.grants AS g
                   WHERE g.user_id = s.user_id
                     AND g.org_id = s.org_id
               )
        INTO known
        FROM access.sql_logins AS s
        WHERE s.login = session_user
          AND s.taken_at IS NULL
          AND s.is_active;
    END IF;

    RETURN known;
END
$$;
