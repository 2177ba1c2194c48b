-- Gives a job back after an error (or untried), and returns its state, null where the
-- lease was taken away. The worker may have an append in flight, so appends are kept
-- out meanwhile.
CREATE FUNCTION es.fail_work_v1(
    of_id    uuid,
    of_fence bigint,
    error    text,
    again_at timestamptz,
    untried  boolean
)
    RETURNS text
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM es.shut_out();
    RETURN es.give_back(of_id, of_fence, error, again_at, untried);
END
$$;

REVOKE ALL ON FUNCTION es.fail_work_v1(uuid, bigint, text, timestamptz, boolean)
    FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.fail_work_v1(uuid, bigint, text, timestamptz, boolean)
    TO rehearsal_app, rehearsal_projector;
