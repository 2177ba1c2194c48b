-- The authority for versions: where each stream stands and whose it is. The first and
-- last position bound the partitions that a reader of the stream has to look at.
CREATE TABLE es.streams (
    stream_id      text    NOT NULL COLLATE "C",
    org_id         text    NOT NULL COLLATE "C",
    version        bigint  NOT NULL CHECK (version > 0),
    first_position bigint  NOT NULL,
    last_position  bigint  NOT NULL,
    closed         boolean NOT NULL,
    PRIMARY KEY (stream_id)
)
WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02
);

GRANT SELECT ON es.streams
    TO rehearsal_app, rehearsal_projector;
