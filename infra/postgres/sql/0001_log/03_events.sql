-- position: 1, 2, 3, ... over the whole log, in the order of commits.
-- version: 1, 2, 3, ... in each stream; es.streams is the authority for the last one.
-- slice: CRC-32 of the stream's name, modulo 1024.
-- hash: sha256 over every other column, see es.event_hash.
CREATE TABLE es.events (
    position       bigint      NOT NULL CHECK (position > 0),
    stream_id      text        NOT NULL COLLATE "C",
    version        bigint      NOT NULL CHECK (version > 0),
    event_id       uuid        NOT NULL,
    type           text        NOT NULL COLLATE "C"
                               GENERATED ALWAYS AS (data ->> 'type') STORED,
    slice          smallint    NOT NULL CHECK (slice BETWEEN 0 AND 1023),
    org_id         text        NOT NULL COLLATE "C",
    region         text        NOT NULL COLLATE "C",
    command_id     uuid        NOT NULL,
    correlation_id uuid        NOT NULL,
    causation_id   uuid,
    actor          text        NOT NULL COLLATE "C",
    ip             text        COLLATE "C",
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    data           json        NOT NULL,
    headers        json,
    key_id         uuid,
    hash           bytea       NOT NULL,
    PRIMARY KEY (position)
)
PARTITION BY RANGE (position);

CREATE INDEX events_recorded_at
    ON es.events
    USING brin (recorded_at);

CREATE TRIGGER refuse_change
    BEFORE UPDATE OR DELETE
    ON es.events
    FOR EACH ROW
    EXECUTE FUNCTION es.refuse_change();

CREATE TRIGGER refuse_truncate
    BEFORE TRUNCATE
    ON es.events
    EXECUTE FUNCTION es.refuse_change();

ALTER TABLE es.events
    ENABLE ALWAYS TRIGGER refuse_change;

ALTER TABLE es.events
    ENABLE ALWAYS TRIGGER refuse_truncate;

GRANT SELECT ON es.events
    TO rehearsal_app, rehearsal_projector;
