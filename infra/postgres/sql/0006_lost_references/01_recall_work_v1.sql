-- Makes due what was offered at least `since` ago and that nobody has claimed, for a
-- worker which is free and to whom nothing comes; returns how many jobs that were. An
-- offer that is pending is told by due_at, which offer_work_v1 has set `again` ahead.
CREATE FUNCTION es.recall_work_v1(
    of_kind text,
    again   interval,
    since   interval
)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
DECLARE
    moment   CONSTANT timestamptz := clock_timestamp();
    recalled integer;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    UPDATE es.work AS job
       SET due_at = moment
     WHERE job.state = 'ready'
       AND job.id = ANY (ARRAY(
           SELECT offered.id
             FROM es.work AS offered
            WHERE offered.state = 'ready'
              AND offered.due_at > moment
              AND offered.due_at < 'infinity'
              AND offered.kind = of_kind
              AND offered.offers > 0
              AND offered.due_at - again * (1 << least(offered.offers - 1, 8))
                  <= moment - since
            ORDER BY offered.due_at, offered.place
            LIMIT 500
              FOR UPDATE SKIP LOCKED
     ));
    GET DIAGNOSTICS recalled = ROW_COUNT;
    RETURN recalled;
END
$$;

REVOKE ALL ON FUNCTION es.recall_work_v1(text, interval, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.recall_work_v1(text, interval, interval)
    TO rehearsal_app, rehearsal_projector;
