-- Ends open jobs for what the log says: those of `effect_keys` are done; those of
-- `keys` and of `group_keys` are cancelled, where they were asked for before the
-- position beside. Returns how many. Taking leases away keeps appends out until the
-- transaction ends: it should be the last statement.
CREATE FUNCTION es.end_work_v1(
    effect_keys     text[],
    keys            text[],
    key_positions   bigint[],
    group_keys      text[],
    group_positions bigint[]
)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
AS $$
DECLARE
    doomed uuid[];
    closed uuid[];
    ready  uuid[];
    leased uuid[] := '{}';
BEGIN
    WITH ended AS (
        UPDATE es.work AS job
           SET state = 'done',
               ended_at = clock_timestamp()
         WHERE job.effect_key = ANY (effect_keys)
           AND job.state IN ('ready', 'leased')
        RETURNING job.id
    )
    SELECT coalesce(array_agg(ended.id), '{}')
      INTO closed
      FROM ended;
    PERFORM es.free_after(closed);

    doomed := ARRAY(
        SELECT named.id
          FROM unnest(keys, key_positions) AS asked (key, position)
          JOIN es.work AS named
            ON named.key = asked.key
           AND named.state IN ('ready', 'leased')
           AND named.position < asked.position
        UNION
        SELECT named.id
          FROM unnest(group_keys, group_positions) AS asked (key, position)
          JOIN es.work AS named
            ON named.group_key = asked.key
           AND named.state IN ('ready', 'leased')
           AND named.position < asked.position
    );
    IF cardinality(doomed) = 0 THEN
        RETURN cardinality(closed);
    END IF;

    WITH ended AS (
        UPDATE es.work AS job
           SET state = 'cancelled',
               ended_at = clock_timestamp()
         WHERE job.id = ANY (doomed)
           AND job.state = 'ready'
        RETURNING job.id
    )
    SELECT coalesce(array_agg(ended.id), '{}')
      INTO ready
      FROM ended;
    PERFORM es.free_after(ready);

    IF cardinality(ready) < cardinality(doomed) THEN
        PERFORM es.shut_out();
        WITH ended AS (
            UPDATE es.work AS job
               SET state = 'cancelled',
                   ended_at = clock_timestamp()
             WHERE job.id = ANY (doomed)
               AND job.state IN ('ready', 'leased')
            RETURNING job.id
        )
        SELECT coalesce(array_agg(ended.id), '{}')
          INTO leased
          FROM ended;
        PERFORM es.free_after(leased);
    END IF;
    RETURN cardinality(closed) + cardinality(ready) + cardinality(leased);
END
$$;

REVOKE ALL ON FUNCTION es.end_work_v1(text[], text[], bigint[], text[], bigint[])
    FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.end_work_v1(text[], text[], bigint[], text[], bigint[])
    TO rehearsal_app, rehearsal_projector;
