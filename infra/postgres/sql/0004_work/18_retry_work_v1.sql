-- Opens a failed job again, with all of its attempts; says whether it was failed.
CREATE FUNCTION es.retry_work_v1(of_id uuid)
    RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE es.work AS job
       SET state = 'ready',
           attempt = 0,
           not_before = NULL,
           due_at = clock_timestamp(),
           offers = 0,
           published_at = NULL,
           ended_at = NULL,
           reported_at = NULL
     WHERE job.id = of_id
       AND job.state = 'failed';
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION es.retry_work_v1(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.retry_work_v1(uuid)
    TO rehearsal_app, rehearsal_projector;
