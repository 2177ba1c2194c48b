-- Who is asking, for the policies of the read tables.
CREATE SCHEMA access;

GRANT USAGE
    ON SCHEMA access
    TO rehearsal_app, rehearsal_reader;

GRANT USAGE, CREATE
    ON SCHEMA access
    TO rehearsal_projector;

COMMENT ON SCHEMA access IS 'People, what they may see, and who is asking.';
