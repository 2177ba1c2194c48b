-- Large bodies under the sha256 of what they hold; content is compressed by Zstandard.
CREATE TABLE es.blobs (
    sha256     bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    media_type text        NOT NULL,
    size       bigint      NOT NULL,
    content    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (sha256)
);

ALTER TABLE es.blobs
    ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TRIGGER refuse_change
    BEFORE UPDATE
    ON es.blobs
    FOR EACH ROW
    EXECUTE FUNCTION es.refuse_change();

ALTER TABLE es.blobs
    ENABLE ALWAYS TRIGGER refuse_change;

GRANT SELECT, INSERT ON es.blobs
    TO rehearsal_app;

GRANT SELECT ON es.blobs
    TO rehearsal_projector;
