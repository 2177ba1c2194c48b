-- Waits for the appends in flight and keeps others out until the transaction ends, so
-- that no result of a lease is appended while the lease is taken away.
CREATE FUNCTION es.shut_out()
    RETURNS void
    LANGUAGE sql
BEGIN ATOMIC
    SELECT pg_advisory_xact_lock(1919248485, 1);
END;

REVOKE ALL ON FUNCTION es.shut_out() FROM PUBLIC;
