-- What holds the rows of the access context's read tables. Only the projector may name
-- them: whoever reads goes through the views of the schema access.
CREATE SCHEMA access_tables AUTHORIZATION rehearsal_projector;
