-- Says for each (job, fence) whether what carries it is to be refused: whether the job
-- is not leased under that fence any more. A null job is never refused.
--
-- Called under the append's lock. What takes a lease away from a worker that may still
-- be appending takes that lock too (es.shut_out), so that nothing comes between the
-- answer and the commit of the append.
CREATE FUNCTION es.fenced(work_ids uuid[], fences bigint[])
    RETURNS boolean[]
    LANGUAGE sql
    STABLE
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(
               asked.work_id IS NOT NULL
               AND NOT EXISTS (
                   SELECT
                     FROM es.work AS job
                    WHERE job.id = asked.work_id
                      AND job.fence = asked.fence
                      AND job.state = 'leased'
               )
               ORDER BY asked.place
           )
      FROM unnest(work_ids, fences)
           WITH ORDINALITY AS asked (work_id, fence, place)
$$;

REVOKE ALL ON FUNCTION es.fenced(uuid[], bigint[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.fenced(uuid[], bigint[])
    TO rehearsal_app, rehearsal_projector;
