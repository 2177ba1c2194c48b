-- The e-mail address that the token of who is asking proves, case folded, or NULL; that
-- of the user for whom a direct login stands.
CREATE OR REPLACE FUNCTION access.current_email()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN CASE
    WHEN session_user = 'rehearsal_app'
    THEN nullif(current_setting('rehearsal.email', true), '')
    ELSE access.login_email()
END;
