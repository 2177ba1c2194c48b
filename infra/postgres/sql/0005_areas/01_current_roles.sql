-- The roles of who is asking, plain or as area:role; from where access.current_org()
-- says.
CREATE FUNCTION access.current_roles()
    RETURNS text[]
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN coalesce(
    CASE
        WHEN session_user = 'rehearsal_app'
        THEN string_to_array(
            nullif(current_setting('rehearsal.roles', true), ''),
            ','
        )
        ELSE (access.login()).roles
    END,
    '{}'
);

REVOKE ALL
    ON FUNCTION access.current_roles()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_roles()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
