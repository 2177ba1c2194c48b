-- Forgets at most `at_most` outcomes that were recorded before `before`, never one of
-- the last 30 days, and returns how many: a command repeated later is a new command.
CREATE FUNCTION es.prune_commands(
    before  timestamptz,
    at_most integer DEFAULT 10000
)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pruned integer;
BEGIN
    DELETE FROM es.commands
     WHERE ctid = ANY (ARRAY(
           SELECT old.ctid
             FROM es.commands AS old
            WHERE old.recorded_at < least(before, now() - interval '30 days')
            LIMIT at_most
     ));
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

REVOKE ALL ON FUNCTION es.prune_commands(timestamptz, integer) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.prune_commands(timestamptz, integer)
    TO rehearsal_app;
