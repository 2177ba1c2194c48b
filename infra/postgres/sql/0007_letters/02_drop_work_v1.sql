-- Closes a failed job for good, so that it is listed no more; says whether it was
-- failed.
CREATE FUNCTION es.drop_work_v1(of_id uuid)
    RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE es.work AS job
       SET state = 'cancelled'
     WHERE job.id = of_id
       AND job.state = 'failed';
    RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION es.drop_work_v1(uuid) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.drop_work_v1(uuid)
    TO rehearsal_app;
