-- Every build of every read table, numbered from 1 in each projection.
-- building  being filled from the log, beside the one that is live
-- ready     filled; catches up when it is compared or switched to
-- live      the view shows it, the group feeds it
-- stale     the view shows it, nothing feeds it: the code has another version
-- kept      was live, is still fed, may be switched back to
-- retired   was live, is no longer fed
-- dropped   its table is gone
-- version: as the code declared it; shape: hash of its columns; dress: hash of its
-- indexes, policies and view; code: hash of the module that filled it.
CREATE TABLE es.projections (
    name       text        NOT NULL COLLATE "C",
    build      int         NOT NULL CHECK (build > 0),
    feed       text        NOT NULL COLLATE "C",
    version    int         NOT NULL,
    physical   text        NOT NULL COLLATE "C",
    state      text        NOT NULL CHECK (
        state IN (
            'building', 'ready', 'live', 'stale', 'kept', 'retired', 'dropped'
        )
    ),
    shape      text        NOT NULL,
    dress      text        NOT NULL,
    code       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, build)
);

CREATE UNIQUE INDEX projections_shown
    ON es.projections (name)
    WHERE state IN ('live', 'stale');

CREATE INDEX projections_feed
    ON es.projections (feed)
    WHERE state <> 'dropped';

GRANT SELECT
    ON es.projections
    TO rehearsal_app;

GRANT SELECT, INSERT, UPDATE
    ON es.projections
    TO rehearsal_projector;
