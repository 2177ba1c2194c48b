-- The end of the commit that held a position, and the chain there.
CREATE FUNCTION es.receipt(of_position bigint)
    RETURNS text
    LANGUAGE sql
    STABLE
RETURN CASE of_position
    WHEN 0 THEN '0-' || repeat('00', 32)
    ELSE (
        SELECT flush.last_position || '-' || encode(flush.chain, 'hex')
          FROM es.flushes AS flush
         WHERE flush.last_position >= of_position
         ORDER BY flush.last_position
         LIMIT 1
    )
END;

REVOKE ALL ON FUNCTION es.receipt(bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.receipt(bigint)
    TO rehearsal_app, rehearsal_projector;
