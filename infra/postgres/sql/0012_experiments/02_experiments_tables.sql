-- What holds the rows of those tables; only the projector may name them.
CREATE SCHEMA experiments_tables AUTHORIZATION rehearsal_projector;
