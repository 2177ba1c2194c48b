-- Extends a lease and returns when it expires, or null where it was taken away. A lease
-- that has expired and that nobody took away can be extended.
CREATE FUNCTION es.renew_work_v1(of_id uuid, of_fence bigint, ttl interval)
    RETURNS timestamptz
    LANGUAGE sql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE es.work AS job
       SET expires_at = clock_timestamp() + ttl
     WHERE job.id = of_id
       AND job.fence = of_fence
       AND job.state = 'leased'
    RETURNING job.expires_at
$$;

REVOKE ALL ON FUNCTION es.renew_work_v1(uuid, bigint, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.renew_work_v1(uuid, bigint, interval)
    TO rehearsal_app, rehearsal_projector;
