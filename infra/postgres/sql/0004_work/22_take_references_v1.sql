-- Takes references of a kind, the longest free first, under one new token. The commit
-- does not wait for the disk: after a crash they are free again.
CREATE FUNCTION es.take_references_v1(of_kind text, at_most integer, hold interval)
    RETURNS TABLE (job_id uuid, token uuid)
    LANGUAGE plpgsql
AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
    mark   CONSTANT uuid := gen_random_uuid();
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);

    RETURN QUERY
    UPDATE es.deliveries AS taken
       SET free_at = moment + hold,
           token = mark
     WHERE taken.job_id = ANY (ARRAY(
           SELECT waiting.job_id
             FROM es.deliveries AS waiting
            WHERE waiting.kind = of_kind
              AND waiting.free_at <= moment
            ORDER BY waiting.free_at
            LIMIT at_most
              FOR UPDATE SKIP LOCKED
     ))
    RETURNING taken.job_id, taken.token;
END
$$;

REVOKE ALL ON FUNCTION es.take_references_v1(text, integer, interval) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.take_references_v1(text, integer, interval)
    TO rehearsal_app, rehearsal_projector;
