-- Events that a feed could not apply (error), and those that wait behind them.
CREATE TABLE es.parked (
    projection text        NOT NULL COLLATE "C",
    version    int         NOT NULL,
    position   bigint      NOT NULL,
    key        text        NOT NULL COLLATE "C",
    type       text        NOT NULL COLLATE "C",
    error      text,
    attempts   int         NOT NULL DEFAULT 0,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, version, position)
);

CREATE INDEX parked_key
    ON es.parked (projection, version, key, position);

GRANT SELECT, INSERT, DELETE
    ON es.parked
    TO rehearsal_projector;
