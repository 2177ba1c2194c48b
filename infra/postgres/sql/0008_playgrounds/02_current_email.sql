-- The e-mail address that the token of who is asking proves, case folded, or NULL. A
-- direct login has none.
CREATE FUNCTION access.current_email()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN CASE
    WHEN session_user = 'rehearsal_app'
    THEN nullif(current_setting('rehearsal.email', true), '')
END;

REVOKE ALL
    ON FUNCTION access.current_email()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_email()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
