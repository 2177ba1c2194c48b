-- The hash of an event: sha256 over all of its columns but `type`, which follows from
-- `data`. Integers are big endian, times are microseconds since 2000-01-01 UTC, and
-- `data` and `headers` are the stored text.
CREATE FUNCTION es.event_hash(
    "position"     bigint,
    version        bigint,
    event_id       uuid,
    occurred_at    timestamptz,
    recorded_at    timestamptz,
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
    int8send("position")
    || int8send(version)
    || uuid_send(event_id)
    || timestamptz_send(occurred_at)
    || timestamptz_send(recorded_at)
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

REVOKE ALL ON FUNCTION es.event_hash(
    bigint, bigint, uuid, timestamptz, timestamptz, smallint, text, text, text,
    uuid, uuid, uuid, text, text, uuid, text, text
) FROM PUBLIC;
