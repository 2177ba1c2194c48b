-- Forgets what has no effect any more: all that `prune_v1` does, and sign-ins by an
-- identity provider that nobody came back from.
CREATE FUNCTION sign_in.prune_v2()
    RETURNS bigint
    LANGUAGE sql
BEGIN ATOMIC
    WITH handshakes AS (
        DELETE FROM sign_in.handshakes
        WHERE expires_at < clock_timestamp()
        RETURNING 1
    )
    SELECT sign_in.prune_v1() + (SELECT count(*) FROM handshakes);
END;

REVOKE ALL
    ON FUNCTION sign_in.prune_v2()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION sign_in.prune_v2()
    TO rehearsal_app;
