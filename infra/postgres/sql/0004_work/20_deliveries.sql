-- References to jobs that wait for a worker, where PostgreSQL carries them. A row is
-- taken with a new token until free_at and deleted by who still holds the token;
-- publishing it again takes the token away.
CREATE TABLE es.deliveries (
    job_id  uuid        NOT NULL PRIMARY KEY,
    kind    text        NOT NULL COLLATE "C",
    free_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    token   uuid
)
WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX deliveries_free
    ON es.deliveries (kind, free_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON es.deliveries
    TO rehearsal_app, rehearsal_projector;
