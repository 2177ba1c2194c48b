-- By what read tables know text that is sealed for who is asking: the organisation and
-- the person, or NULL.
CREATE FUNCTION access.current_seal()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN access.current_org() || '/' || access.current_actor_id();

REVOKE ALL
    ON FUNCTION access.current_seal()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_seal()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
