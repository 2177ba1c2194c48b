-- Makes the digest of one event in 1,024 again, the last such event up to a position, and
-- fails where the hash is not of it: whoever appends digests that are not those of the
-- columns is stopped before the log is full of events that nobody can verify.
CREATE FUNCTION es.check_digest(up_to bigint)
    RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    checked CONSTANT bigint := (up_to - 1) / 1024 * 1024 + 1;
BEGIN
    PERFORM
       FROM es.events AS event
      WHERE event.position = checked
        AND event.hash = es.placed(
            es.event_digest(
                event.event_id, event.occurred_at, event.slice, event.stream_id,
                event.org_id, event.region, event.command_id, event.correlation_id,
                event.causation_id, event.actor, event.ip, event.key_id,
                event.data::text, event.headers::text
            ),
            event.position, event.version, timestamptz_send(event.recorded_at)
        );

    IF NOT FOUND THEN
        RAISE EXCEPTION 'the digest of the event at position % is not of its columns',
            checked
            USING ERRCODE = 'internal_error';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION es.check_digest(bigint) FROM PUBLIC;
