-- A text as the hash of an event takes it: its length in bytes, and the bytes of its
-- UTF-8; a length of -1 alone stands for null.
CREATE FUNCTION es.field(value text)
    RETURNS bytea
    LANGUAGE sql
    STABLE
RETURN coalesce(
    int4send(octet_length(value)) || convert_to(value, 'UTF8'),
    '\xffffffff'::bytea
);

REVOKE ALL ON FUNCTION es.field(text) FROM PUBLIC;
