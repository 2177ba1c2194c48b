-- The read tables about who did what, under the names that people query.
CREATE SCHEMA audit AUTHORIZATION rehearsal_projector;

GRANT USAGE
    ON SCHEMA audit
    TO rehearsal_app, rehearsal_reader;

-- What holds the rows of those tables.
CREATE SCHEMA audit_tables AUTHORIZATION rehearsal_projector;
