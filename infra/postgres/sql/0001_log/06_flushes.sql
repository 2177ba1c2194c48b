-- One row per call that appended events, hardly ever two in one transaction; the last
-- one is the head of the log.
-- chain: sha256 of the previous row's chain (32 zero bytes before the first) and the
-- hashes of the events since then, in the order of positions.
CREATE TABLE es.flushes (
    last_position bigint      NOT NULL,
    recorded_at   timestamptz NOT NULL,
    chain         bytea       NOT NULL CHECK (octet_length(chain) = 32),
    PRIMARY KEY (last_position)
);

CREATE INDEX flushes_recorded_at
    ON es.flushes (recorded_at, last_position);

CREATE TRIGGER refuse_change
    BEFORE UPDATE OR DELETE
    ON es.flushes
    FOR EACH ROW
    EXECUTE FUNCTION es.refuse_change();

CREATE TRIGGER refuse_truncate
    BEFORE TRUNCATE
    ON es.flushes
    EXECUTE FUNCTION es.refuse_change();

ALTER TABLE es.flushes
    ENABLE ALWAYS TRIGGER refuse_change;

ALTER TABLE es.flushes
    ENABLE ALWAYS TRIGGER refuse_truncate;

GRANT SELECT ON es.flushes
    TO rehearsal_app, rehearsal_projector;
