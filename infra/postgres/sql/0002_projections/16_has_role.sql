-- Whether who is asking has a role; from where access.current_org() says.
CREATE FUNCTION access.has_role(role text)
    RETURNS boolean
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN coalesce(
    CASE
        WHEN session_user = 'rehearsal_app'
        THEN role = ANY (
            string_to_array(current_setting('rehearsal.roles', true), ',')
        )
        ELSE role = ANY ((access.login()).roles)
    END,
    false
);

REVOKE ALL
    ON FUNCTION access.has_role(text)
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.has_role(text)
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
