-- The recorded outcome of every accepted command, also of one that appended nothing:
-- then first_position is null and last_position the head that it saw.
CREATE TABLE es.commands (
    org_id         text        NOT NULL COLLATE "C",
    command_id     uuid        NOT NULL,
    body_hash      bytea       NOT NULL,
    stream_id      text        COLLATE "C",
    first_position bigint,
    last_position  bigint      NOT NULL,
    version        bigint      NOT NULL,
    events         integer     NOT NULL,
    recorded_at    timestamptz NOT NULL,
    PRIMARY KEY (command_id, org_id)
);

GRANT SELECT ON es.commands
    TO rehearsal_app, rehearsal_projector;
