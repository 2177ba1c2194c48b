-- Only rehearsal_keys sees wrapped keys, and it can neither delete a row nor change whose
-- it is. The owner gives up its own right to read, so that no dump of the log by its
-- owner takes keys along.
REVOKE ALL ON keys.subject_keys FROM PUBLIC, rehearsal_owner;

GRANT SELECT, INSERT ON keys.subject_keys TO rehearsal_keys;

GRANT UPDATE (wrapped, seals, retired_at, destroyed_at)
    ON keys.subject_keys
    TO rehearsal_keys;
