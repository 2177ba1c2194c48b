-- Adds jobs in the order of the arrays and returns how many are new: a job is known by
-- its effect key, and asking for it again changes nothing.
CREATE FUNCTION es.add_work_v1(
    ids          uuid[],
    effect_keys  text[],
    kinds        text[],
    keys         text[],
    group_keys   text[],
    group_limits integer[],
    org_ids      text[],
    regions      text[],
    positions    bigint[],
    event_ids    uuid[],
    correlations uuid[],
    bodies       text[],
    headers      text[],
    not_befores  timestamptz[],
    max_attempts integer[]
)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added integer;
BEGIN
    INSERT INTO es.work (
        id, effect_key, kind, key, group_key, group_limit, org_id, region, position,
        event_id, correlation_id, body, headers, not_before, due_at, max_attempts
    )
    SELECT asked.id, asked.effect_key, asked.kind, asked.key, asked.group_key,
           asked.group_limit, asked.org_id, asked.region, asked.position,
           asked.event_id, asked.correlation_id, asked.body::json, asked.headers::json, asked.not_before,
           greatest(clock_timestamp(), asked.not_before), asked.max_attempts
      FROM unnest(
           ids, effect_keys, kinds, keys, group_keys, group_limits, org_ids, regions,
           positions, event_ids, correlations, bodies,
           add_work_v1.headers, not_befores, add_work_v1.max_attempts
      )
           WITH ORDINALITY AS asked (
               id, effect_key, kind, key, group_key, group_limit, org_id, region,
               position, event_id, correlation_id, body, headers, not_before,
               max_attempts, place
           )
     ORDER BY asked.place
        ON CONFLICT (effect_key) DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;

REVOKE ALL ON FUNCTION es.add_work_v1(
    uuid[], text[], text[], text[], text[], integer[], text[], text[], bigint[],
    uuid[], uuid[], text[], text[], timestamptz[], integer[]
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.add_work_v1(
    uuid[], text[], text[], text[], text[], integer[], text[], text[], bigint[],
    uuid[], uuid[], text[], text[], timestamptz[], integer[]
)
    TO rehearsal_projector;
