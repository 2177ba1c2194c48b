-- The key store. In production it is another database with its own backups, kept
-- shorter than those of the log, so that a restore of the log restores no key.
CREATE SCHEMA IF NOT EXISTS keys;

REVOKE ALL ON SCHEMA keys FROM PUBLIC;

GRANT USAGE ON SCHEMA keys TO rehearsal_keys;
