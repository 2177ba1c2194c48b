-- The read tables of the experiments context, under the names that people query.
CREATE SCHEMA experiments AUTHORIZATION rehearsal_projector;

GRANT USAGE
    ON SCHEMA experiments
    TO rehearsal_app, rehearsal_reader;
