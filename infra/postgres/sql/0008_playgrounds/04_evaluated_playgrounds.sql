-- The playgrounds in which who is asking was given a model to evaluate.
CREATE FUNCTION access.evaluated_playgrounds()
    RETURNS uuid[]
    LANGUAGE plpgsql
    STABLE
    PARALLEL SAFE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT s.playground_id
        FROM playgrounds.evaluation_sessions AS s
        WHERE s.tester = access.current_actor_id()
    );
END
$$;

REVOKE ALL
    ON FUNCTION access.evaluated_playgrounds()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION access.evaluated_playgrounds()
    TO rehearsal_app, rehearsal_reader;
