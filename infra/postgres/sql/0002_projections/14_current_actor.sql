-- Who is asking, as kind:id, or NULL; from where access.current_org() says.
CREATE FUNCTION access.current_actor()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN CASE
    WHEN session_user = 'rehearsal_app'
    THEN nullif(current_setting('rehearsal.actor', true), '')
    ELSE (access.login()).actor
END;

REVOKE ALL
    ON FUNCTION access.current_actor()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_actor()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
