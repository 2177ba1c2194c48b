-- The digest of an event: sha256 over what is known before it has its place in the log.
-- Whoever appends makes it. Integers are big endian, times are microseconds since
-- 2000-01-01 UTC, and `data` and `headers` are the stored text.
CREATE FUNCTION es.event_digest(
    event_id       uuid,
    occurred_at    timestamptz,
    slice          smallint,
    stream_id      text,
    org_id         text,
    region         text,
    command_id     uuid,
    correlation_id uuid,
    causation_id   uuid,
    actor          text,
    ip             text,
    key_id         uuid,
    data           text,
    headers        text
)
    RETURNS bytea
    LANGUAGE sql
    STABLE
RETURN sha256(
    uuid_send(event_id)
    || timestamptz_send(occurred_at)
    || int2send(slice)
    || es.field(stream_id)
    || es.field(org_id)
    || es.field(region)
    || es.field(command_id)
    || es.field(correlation_id)
    || es.field(causation_id)
    || es.field(actor)
    || es.field(ip)
    || es.field(key_id)
    || es.field(data)
    || es.field(headers)
);

REVOKE ALL ON FUNCTION es.event_digest(
    uuid, timestamptz, smallint, text, text, text, uuid, uuid, uuid, text, text, uuid,
    text, text
) FROM PUBLIC;
