-- Takes the lease from a job that gave no result, so that it is due again (at a time, or
-- at once), or failed where its attempts are used up; `untried` gives it the attempt back. Returns the
-- state that it is in now, null where it was not leased under that fence.
CREATE FUNCTION es.give_back(
    of_id    uuid,
    of_fence bigint,
    error    text,
    again_at timestamptz,
    untried  boolean
)
    RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    job es.work;
BEGIN
    UPDATE es.work AS returned
       SET state = CASE
               WHEN untried OR returned.attempt < returned.max_attempts THEN 'ready'
               ELSE 'failed'
           END,
           attempt = returned.attempt - (CASE WHEN untried THEN 1 ELSE 0 END),
           not_before = again_at,
           due_at = coalesce(again_at, clock_timestamp()),
           offers = 0,
           published_at = NULL,
           last_error = coalesce(error, returned.last_error),
           ended_at = CASE
               WHEN NOT untried AND returned.attempt >= returned.max_attempts
                   THEN clock_timestamp()
           END,
           reported_at = NULL
     WHERE returned.id = of_id
       AND returned.fence = of_fence
       AND returned.state = 'leased'
    RETURNING returned.*
         INTO job;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    IF job.state = 'failed' THEN
        PERFORM es.free_next(job.key, job.group_key);
    ELSIF job.group_key IS NOT NULL THEN
        PERFORM es.free_next(NULL, job.group_key);
    END IF;
    RETURN job.state;
END
$$;

REVOKE ALL ON FUNCTION es.give_back(uuid, bigint, text, timestamptz, boolean)
    FROM PUBLIC;
