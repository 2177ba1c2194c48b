-- The read tables of the playgrounds context, under the names that people query.
CREATE SCHEMA playgrounds AUTHORIZATION rehearsal_projector;

GRANT USAGE
    ON SCHEMA playgrounds
    TO rehearsal_app, rehearsal_reader;

-- What holds the rows of those tables.
CREATE SCHEMA playgrounds_tables AUTHORIZATION rehearsal_projector;
