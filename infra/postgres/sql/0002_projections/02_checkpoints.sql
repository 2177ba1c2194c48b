-- How far a projection has come. Version 0 is the checkpoint of a whole group, which
-- covers every table that the group feeds; any other version is a build of one table
-- (see es.projections) that is not fed by its group.
-- fence: of the lease under which the position moves; a lower one moves nothing.
-- layout: counts the changes of what is fed, so that a feeder notices them.
CREATE TABLE es.checkpoints (
    projection text   NOT NULL COLLATE "C",
    version    int    NOT NULL DEFAULT 0,
    position   bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    fence      bigint NOT NULL DEFAULT 0,
    layout     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, version)
)
WITH (fillfactor = 50);

GRANT SELECT
    ON es.checkpoints
    TO rehearsal_app;

GRANT SELECT, INSERT, UPDATE, DELETE
    ON es.checkpoints
    TO rehearsal_projector;
