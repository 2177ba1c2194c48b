-- Ends a job whose result is recorded, and returns how many jobs that made due; null
-- where the lease was taken away. The commit does not wait for the disk: the dispatcher
-- closes the job too, once it has seen the result.
CREATE FUNCTION es.close_work_v1(of_id uuid, of_fence bigint)
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
    job es.work;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    UPDATE es.work AS closed
       SET state = 'done',
           ended_at = clock_timestamp()
     WHERE closed.id = of_id
       AND closed.fence = of_fence
       AND closed.state = 'leased'
    RETURNING closed.*
         INTO job;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN es.free_next(job.key, job.group_key);
END
$$;

REVOKE ALL ON FUNCTION es.close_work_v1(uuid, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.close_work_v1(uuid, bigint)
    TO rehearsal_app, rehearsal_projector;
