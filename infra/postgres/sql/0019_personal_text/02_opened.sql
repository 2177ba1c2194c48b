-- Whether what others said is open to who is asking. Only the application's login may
-- say so, for its transaction, and records who reads whose text before it tells any;
-- a login in SQL can leave no such record, so to none of them it is.
CREATE FUNCTION access.opened()
    RETURNS boolean
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN session_user = 'rehearsal_app'
    AND coalesce(current_setting('rehearsal.opened', true), '') = 'on';

REVOKE ALL
    ON FUNCTION access.opened()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.opened()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
