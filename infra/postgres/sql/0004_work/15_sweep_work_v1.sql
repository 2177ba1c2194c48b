-- Takes expired leases away, and makes due what waits for nothing any more; returns how
-- many jobs were moved. One sweep at a time: a second returns at once.
CREATE FUNCTION es.sweep_work_v1()
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    moved  integer := 0;
    due    uuid[];
    freed  integer;
    job    record;
BEGIN
    IF NOT pg_try_advisory_xact_lock(1919248488, 1) THEN
        RETURN 0;
    END IF;

    IF EXISTS (
        SELECT
          FROM es.work AS leased
         WHERE leased.state = 'leased'
           AND leased.expires_at <= moment
    ) THEN
        PERFORM es.shut_out();
        FOR job IN
            SELECT leased.id, leased.fence
              FROM es.work AS leased
             WHERE leased.state = 'leased'
               AND leased.expires_at <= moment
             ORDER BY leased.place
             LIMIT 500
               FOR UPDATE SKIP LOCKED
        LOOP
            PERFORM es.give_back(
                job.id, job.fence, 'The lease expired.', moment, false
            );
            moved := moved + 1;
        END LOOP;
    END IF;

    due := ARRAY(
        WITH waiting AS MATERIALIZED (
            SELECT candidate.id, candidate.group_key, candidate.group_limit,
                   row_number() OVER (
                       PARTITION BY candidate.group_key
                       ORDER BY candidate.place
                   ) AS turn
              FROM es.work AS candidate
             WHERE candidate.state = 'ready'
               AND candidate.due_at = 'infinity'
               AND NOT EXISTS (
                   SELECT
                     FROM es.work AS other
                    WHERE other.key = candidate.key
                      AND other.state IN ('ready', 'leased')
                      AND (other.place < candidate.place OR other.state = 'leased')
                      AND other.id <> candidate.id
               )
        ), running AS MATERIALIZED (
            SELECT leased.group_key, count(*) AS jobs
              FROM es.work AS leased
             WHERE leased.state = 'leased'
               AND leased.group_key IS NOT NULL
             GROUP BY leased.group_key
        )
        SELECT waiting.id
          FROM waiting
          LEFT JOIN running
            ON running.group_key = waiting.group_key
         WHERE waiting.group_key IS NULL
            OR waiting.turn + coalesce(running.jobs, 0) <= waiting.group_limit
    );

    UPDATE es.work AS freed
       SET due_at = greatest(moment, freed.not_before),
           offers = 0
     WHERE freed.id = ANY (due)
       AND freed.state = 'ready'
       AND freed.due_at = 'infinity';
    GET DIAGNOSTICS freed = ROW_COUNT;
    RETURN moved + freed;
END
$$;

REVOKE ALL ON FUNCTION es.sweep_work_v1() FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.sweep_work_v1()
    TO rehearsal_app, rehearsal_projector;
