-- Who was given a model to evaluate in a playground of who is asking.
CREATE FUNCTION access.evaluating_users()
    RETURNS uuid[]
    LANGUAGE plpgsql
    STABLE
    PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT s.user_id
        FROM playgrounds.evaluation_sessions AS s
        WHERE s.owner = access.current_actor_id()
    );
END
$$;

REVOKE ALL
    ON FUNCTION access.evaluating_users()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.evaluating_users()
    TO rehearsal_app, rehearsal_reader;
