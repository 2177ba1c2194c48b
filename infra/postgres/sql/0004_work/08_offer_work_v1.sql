-- Takes jobs that are due and may run, to be published, and returns them; what may not
-- run yet waits for the end of what it waits for. An offered job is due again after
-- `again`, and after twice as long each further time.
--
-- The commit does not wait for the disk: after a crash the same is offered again. The
-- plans suit tables whose statistics are older than what was just added.
--
-- Rows are locked by one statement and judged by the next, which sees every end that was
-- committed before a row was locked.
CREATE FUNCTION es.offer_work_v1(at_most integer, again interval)
    RETURNS TABLE (kind text, id uuid)
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
    taken  uuid[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    taken := ARRAY(
        SELECT job.id
          FROM es.work AS job
         WHERE job.state = 'ready'
           AND job.due_at <= moment
         ORDER BY job.due_at, job.place
         LIMIT at_most
           FOR UPDATE SKIP LOCKED
    );
    IF cardinality(taken) = 0 THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH candidate AS MATERIALIZED (
        SELECT job.id, job.place, job.group_key, job.group_limit,
               NOT EXISTS (
                   SELECT
                     FROM es.work AS other
                    WHERE other.key = job.key
                      AND other.state IN ('ready', 'leased')
                      AND (other.place < job.place OR other.state = 'leased')
                      AND other.id <> job.id
               ) AS first
          FROM es.work AS job
         WHERE job.id = ANY (taken)
    ), running AS MATERIALIZED (
        SELECT crowd.group_key, count(job.id) AS jobs
          FROM (
               SELECT DISTINCT candidate.group_key
                 FROM candidate
                WHERE candidate.group_key IS NOT NULL
          ) AS crowd
          LEFT JOIN es.work AS job
            ON job.group_key = crowd.group_key
           AND job.state = 'leased'
         GROUP BY crowd.group_key
    ), judged AS (
        SELECT candidate.id,
               candidate.first
               AND (
                   candidate.group_key IS NULL
                   OR running.jobs + row_number() OVER (
                       PARTITION BY candidate.group_key, candidate.first
                       ORDER BY candidate.place
                   ) <= candidate.group_limit
               ) AS free
          FROM candidate
          LEFT JOIN running
            ON running.group_key = candidate.group_key
    ), moved AS (
        UPDATE es.work AS job
           SET due_at = CASE
                   WHEN judged.free THEN moment + again * (1 << least(job.offers, 8))
                   ELSE 'infinity'
               END,
               offers = CASE WHEN judged.free THEN job.offers + 1 ELSE 0 END,
               published_at = NULL
          FROM judged
         WHERE job.id = judged.id
        RETURNING job.kind, job.id, job.place, judged.free
    )
    SELECT moved.kind, moved.id
      FROM moved
     WHERE moved.free
     ORDER BY moved.place;
END
$$;

REVOKE ALL ON FUNCTION es.offer_work_v1(integer, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.offer_work_v1(integer, interval)
    TO rehearsal_app, rehearsal_projector;
