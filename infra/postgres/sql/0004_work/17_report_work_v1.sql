-- Records that the failure of jobs was told.
CREATE FUNCTION es.report_work_v1(ids uuid[])
    RETURNS void
    LANGUAGE sql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE es.work AS job
       SET reported_at = clock_timestamp()
     WHERE job.id = ANY (ids)
       AND job.state = 'failed'
       AND job.reported_at IS NULL
$$;

REVOKE ALL ON FUNCTION es.report_work_v1(uuid[]) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.report_work_v1(uuid[])
    TO rehearsal_app, rehearsal_projector;
