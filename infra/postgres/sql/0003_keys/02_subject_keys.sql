-- One current key for each data subject. A destroyed row stays current, so that no
-- key can be made for its subject again; a worn-out key is retired and only opens.
-- Vacuumed after every change, so that what was destroyed soon leaves the pages.
CREATE TABLE keys.subject_keys (
    key_id uuid PRIMARY KEY,
    org_id text COLLATE "C" NOT NULL,
    subject_id uuid NOT NULL,
    wrapped bytea,
    seals bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_threshold = 1,
    autovacuum_vacuum_scale_factor = 0
);

CREATE UNIQUE INDEX subject_keys_current
    ON keys.subject_keys (org_id, subject_id)
    WHERE retired_at IS NULL;

CREATE INDEX subject_keys_retired
    ON keys.subject_keys (org_id, subject_id)
    WHERE retired_at IS NOT NULL;
