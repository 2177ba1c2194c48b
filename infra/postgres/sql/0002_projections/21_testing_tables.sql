-- What holds the rows of those tables. Only the projector may name them: whoever reads
-- goes through the views, which hide columns from those who may not see them.
CREATE SCHEMA testing_tables AUTHORIZATION rehearsal_projector;
