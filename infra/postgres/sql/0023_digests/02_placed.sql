-- The hash of an event: sha256 over its place in the log and its digest, 55 bytes, which
-- are as many as one block of sha256 takes. Of the position these are the last 7 bytes.
CREATE FUNCTION es.placed(
    digest      bytea,
    "position"  bigint,
    version     bigint,
    recorded_at bytea
)
    RETURNS bytea
    LANGUAGE sql
    IMMUTABLE
RETURN sha256(
    substr(int8send("position"), 2) || int8send(version) || recorded_at || digest
);

REVOKE ALL ON FUNCTION es.placed(bytea, bigint, bigint, bytea) FROM PUBLIC;
