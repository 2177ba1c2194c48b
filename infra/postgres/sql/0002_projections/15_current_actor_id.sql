-- Who is asking, without the kind, as read tables hold it, or NULL.
CREATE FUNCTION access.current_actor_id()
    RETURNS text
    LANGUAGE sql
    STABLE
    PARALLEL SAFE
RETURN substr(
    access.current_actor(),
    strpos(access.current_actor(), ':') + 1
);

REVOKE ALL
    ON FUNCTION access.current_actor_id()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.current_actor_id()
    TO rehearsal_app, rehearsal_reader, rehearsal_projector;
