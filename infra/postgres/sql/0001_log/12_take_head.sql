-- Takes the lock under which alone positions are given out, until the transaction ends,
-- and returns the head of the log with the moment at which to record what follows. An
-- empty log has position 0 and a chain of 32 zero bytes. A snapshot older than the lock
-- would show stale versions, so any isolation but READ COMMITTED is refused.
CREATE FUNCTION es.take_head()
    RETURNS es.flushes
    LANGUAGE plpgsql
AS $$
DECLARE
    head es.flushes;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'appending needs READ COMMITTED, not %',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'invalid_transaction_state';
    END IF;

    PERFORM pg_advisory_xact_lock(1919248485, 1);

    SELECT *
      INTO head
      FROM es.flushes
     ORDER BY last_position DESC
     LIMIT 1;

    IF NOT FOUND THEN
        head := (0, '-infinity', decode(repeat('00', 32), 'hex'));
    END IF;
    head.recorded_at := greatest(head.recorded_at, clock_timestamp());
    RETURN head;
END
$$;

REVOKE ALL ON FUNCTION es.take_head() FROM PUBLIC;
