-- The read tables of the testing context, under the names that people query.
CREATE SCHEMA testing AUTHORIZATION rehearsal_projector;

GRANT USAGE
    ON SCHEMA testing
    TO rehearsal_app, rehearsal_reader;
