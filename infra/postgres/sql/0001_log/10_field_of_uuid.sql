-- A UUID as the hash of an event takes it: its length, 16, and its bytes; a length of
-- -1 alone stands for null.
CREATE FUNCTION es.field(value uuid)
    RETURNS bytea
    LANGUAGE sql
    IMMUTABLE
RETURN coalesce(
    '\x00000010'::bytea || uuid_send(value),
    '\xffffffff'::bytea
);

REVOKE ALL ON FUNCTION es.field(uuid) FROM PUBLIC;
