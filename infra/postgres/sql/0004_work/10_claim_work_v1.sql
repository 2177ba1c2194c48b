-- Leases a job that may run, and returns it; nothing where it may not. It may run when
-- its time has come, no earlier job of its key is open, none of its key is leased, and
-- its group has a place. If it may not for another job's sake it waits for that.
--
-- Claims of a key, and of a group, come one after another. A row that is being moved is
-- waited for: whoever asks has been told of it once, and perhaps not again.
CREATE FUNCTION es.claim_work_v1(of_id uuid, by uuid, ttl interval)
    RETURNS SETOF es.work
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    job     es.work;
    blocked boolean;
BEGIN
    SELECT *
      INTO job
      FROM es.work AS asked
     WHERE asked.id = of_id
       AND asked.state = 'ready'
       AND (asked.not_before IS NULL OR asked.not_before <= clock_timestamp())
       FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    PERFORM pg_advisory_xact_lock(1919248486, hashtext(job.key));
    IF job.group_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(1919248487, hashtext(job.group_key));
    END IF;

    blocked := EXISTS (
        SELECT
          FROM es.work AS other
         WHERE other.key = job.key
           AND other.state IN ('ready', 'leased')
           AND (other.place < job.place OR other.state = 'leased')
           AND other.id <> job.id
    ) OR job.group_limit <= (
        SELECT count(*)
          FROM es.work AS other
         WHERE other.group_key = job.group_key
           AND other.state = 'leased'
    );

    IF blocked THEN
        UPDATE es.work AS waiting
           SET due_at = 'infinity',
               offers = 0,
               published_at = NULL
         WHERE waiting.id = of_id;
        RETURN;
    END IF;

    RETURN QUERY
    UPDATE es.work AS claimed
       SET state = 'leased',
           owner = by,
           fence = claimed.fence + 1,
           attempt = claimed.attempt + 1,
           offers = 0,
           leased_at = clock_timestamp(),
           expires_at = clock_timestamp() + ttl
     WHERE claimed.id = of_id
    RETURNING claimed.*;
END
$$;

REVOKE ALL ON FUNCTION es.claim_work_v1(uuid, uuid, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.claim_work_v1(uuid, uuid, interval)
    TO rehearsal_app, rehearsal_projector;
