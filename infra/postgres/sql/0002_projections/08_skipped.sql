-- Events that someone decided to leave out of a feed, and why. A rebuild leaves out
-- what its group left out.
CREATE TABLE es.skipped (
    projection text        NOT NULL COLLATE "C",
    version    int         NOT NULL,
    position   bigint      NOT NULL,
    key        text        NOT NULL COLLATE "C",
    error      text,
    by         text        NOT NULL,
    reason     text        NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, version, position)
);

GRANT SELECT, INSERT
    ON es.skipped
    TO rehearsal_projector;
