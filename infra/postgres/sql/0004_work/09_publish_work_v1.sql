-- Records that offered jobs were published, or with `kept` false that they were not, so
-- that they are offered again at once. The commit does not wait for the disk: after a
-- crash they are published again.
CREATE FUNCTION es.publish_work_v1(ids uuid[], kept boolean)
    RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    PERFORM
       FROM es.work AS job
      WHERE job.id = ANY (ids)
      ORDER BY job.id
        FOR NO KEY UPDATE;

    UPDATE es.work AS job
       SET published_at = CASE WHEN kept THEN clock_timestamp() END,
           due_at = CASE WHEN kept THEN job.due_at ELSE clock_timestamp() END
     WHERE job.id = ANY (ids)
       AND job.state = 'ready'
       AND job.offers > 0
       AND job.published_at IS NULL;
END
$$;

REVOKE ALL ON FUNCTION es.publish_work_v1(uuid[], boolean) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.publish_work_v1(uuid[], boolean)
    TO rehearsal_app, rehearsal_projector;
