-- The organisation of who is asking, or NULL. Only the application's login may set it,
-- for its transaction, after which the setting reads as ''; any other login's comes
-- from access.logins, so that nobody who logs in directly can set another's.
CREATE FUNCTION access.current_org()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN CASE
    WHEN session_user = 'rehearsal_app'
    THEN nullif(current_setting('rehearsal.org_id', true), '')
    ELSE (access.login()).org_id
END;

REVOKE ALL
    ON FUNCTION access.current_org()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_org()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
