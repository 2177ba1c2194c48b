CREATE SCHEMA es;

REVOKE ALL ON SCHEMA es FROM PUBLIC;

GRANT USAGE ON SCHEMA es
    TO rehearsal_app, rehearsal_projector;

COMMENT ON SCHEMA es IS 'The event log: the only truth. Nothing in it is rewritten.';
