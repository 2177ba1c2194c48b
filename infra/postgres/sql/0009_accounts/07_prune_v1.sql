-- Forgets what has no effect any more: codes and rates whose time is over, and sessions
-- a week after their end.
CREATE FUNCTION sign_in.prune_v1()
    RETURNS bigint
    LANGUAGE sql
BEGIN ATOMIC
    WITH codes AS (
        DELETE FROM sign_in.codes
        WHERE expires_at < clock_timestamp()
        RETURNING 1
    ), rates AS (
        DELETE FROM sign_in.rates
        WHERE spent_at < clock_timestamp()
        RETURNING 1
    ), sessions AS (
        DELETE FROM sign_in.sessions
        WHERE least(expires_at, ended_at) < clock_timestamp() - interval '7 days'
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM codes)
        + (SELECT count(*) FROM rates)
        + (SELECT count(*) FROM sessions);
END;

REVOKE ALL
    ON FUNCTION sign_in.prune_v1()
    FROM PUBLIC;

GRANT EXECUTE
    ON FUNCTION sign_in.prune_v1()
    TO rehearsal_app;
