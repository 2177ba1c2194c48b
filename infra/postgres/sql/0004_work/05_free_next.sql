-- Makes due what waited for a job that has ended or was given back: the first open job
-- of its key, and the first job of its group that waits for a place and not for its key.
-- Returns how many.
--
-- A job is judged to wait by one statement while another has locked its row (see
-- es.offer_work_v1). If the end of the job before was not seen there, then it commits
-- later, and the update below, which comes before that commit, waits for the lock.
CREATE FUNCTION es.free_next(of_key text, of_group text)
    RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    first  uuid;
    freed  integer := 0;
BEGIN
    SELECT job.id
      INTO first
      FROM es.work AS job
     WHERE job.key = of_key
       AND job.state IN ('ready', 'leased')
     ORDER BY job.place
     LIMIT 1;

    IF first IS NOT NULL THEN
        UPDATE es.work AS job
           SET due_at = greatest(moment, job.not_before),
               offers = 0
         WHERE job.id = first
           AND job.state = 'ready';
        freed := freed + (CASE WHEN FOUND THEN 1 ELSE 0 END);
    END IF;

    IF of_group IS NOT NULL THEN
        UPDATE es.work AS job
           SET due_at = greatest(moment, job.not_before),
               offers = 0
         WHERE job.id = (
               SELECT waiting.id
                 FROM es.work AS waiting
                WHERE waiting.group_key = of_group
                  AND waiting.state IN ('ready', 'leased')
                  AND waiting.due_at = 'infinity'
                  AND waiting.state = 'ready'
                  AND NOT EXISTS (
                      SELECT
                        FROM es.work AS earlier
                       WHERE earlier.key = waiting.key
                         AND earlier.state IN ('ready', 'leased')
                         AND earlier.place < waiting.place
                  )
                ORDER BY waiting.place
                LIMIT 1
                  FOR UPDATE SKIP LOCKED
           );
        freed := freed + (CASE WHEN FOUND THEN 1 ELSE 0 END);
    END IF;
    RETURN freed;
END
$$;

REVOKE ALL ON FUNCTION es.free_next(text, text) FROM PUBLIC;
