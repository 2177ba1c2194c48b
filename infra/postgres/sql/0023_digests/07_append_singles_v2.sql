-- Appends one event each of many commands to a stream each, as es.append_v4 does with
-- whatever commands write, and returns what it returns. An element of an array is that
-- of the command at its place; org_ids, regions, actors and ips are by caller, and
-- event_starts has one more, where the last event ends.
--
-- Nearly all commands are such ones, and nearly all are accepted. So one statement finds
-- the streams, judges, and stores where nothing is in the way; columns are taken out of
-- the arrays one by one, since unnest() would keep each column's rows in a store of its
-- own. Where a command is not plainly accepted, es.append_v4 judges them all.
CREATE FUNCTION es.append_singles_v2(
    command_ids     uuid[],
    body_hashes     bytea,
    correlation_ids uuid[],
    causation_ids   uuid[],
    occurred_ats    bigint[],
    headers         text[],
    callers         integer[],
    org_ids         text[],
    regions         text[],
    actors          text[],
    ips             text[],
    stream_ids      text[],
    slices          smallint[],
    expected        bigint[],
    event_ids       uuid[],
    event_data      bytea,
    event_starts    integer[],
    event_keys      uuid[],
    event_digests   bytea
)
    RETURNS TABLE (
        command     integer,
        status      text,
        "position"  bigint,
        version     bigint,
        events      integer,
        stream_id   text,
        recorded_at timestamptz,
        receipt     text,
        versions    bigint[]
    )
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_hashjoin = off
    SET enable_mergejoin = off
    SET jit = off
    SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
    head     CONSTANT es.flushes := es.take_head();
    moment   CONSTANT timestamptz := head.recorded_at;
    base     CONSTANT bigint := head.last_position;
    singles  CONSTANT integer := cardinality(command_ids);
    recorded CONSTANT bytea := timestamptz_send(head.recorded_at);
    afters   bigint[];
    troubled boolean;
    known    bigint;
    moved    bigint;
    tail     es.flushes;
BEGIN
    WITH found AS MATERIALIZED (
        SELECT asked.place,
               stream.row,
               coalesce(stream.version, 0) + 1 AS version,
               stream.org_id,
               stream.closed
          FROM (
               SELECT generate_series(1, singles) AS place
          ) AS asked
          LEFT JOIN LATERAL (
               SELECT existing.ctid AS row,
                      existing.version,
                      existing.org_id,
                      existing.closed
                 FROM es.streams AS existing
                WHERE existing.stream_id = stream_ids[asked.place]
               OFFSET 0
          ) AS stream ON true
    ),
    judged AS MATERIALIZED (
        SELECT array_agg(found.version ORDER BY found.place) AS afters,
               count(found.row) AS known,
               bool_or(
                   found.org_id <> org_ids[callers[found.place]]
                   OR found.closed
                   OR CASE expected[found.place]
                          WHEN -1 THEN false
                          WHEN -2 THEN found.version = 1
                          ELSE found.version <> expected[found.place] + 1
                      END
               )
               OR EXISTS (
                   SELECT
                     FROM es.commands AS known
                    WHERE known.command_id = ANY (command_ids)
               ) AS troubled
          FROM found
    ),
    stored AS (
        INSERT INTO es.events AS event (
            position, stream_id, version, event_id, slice, org_id, region, command_id,
            correlation_id, causation_id, actor, ip, occurred_at, recorded_at, data,
            headers, key_id, hash
        )
        SELECT base + place,
               stream_ids[place],
               version,
               event_ids[place],
               slices[place],
               org_ids[callers[place]],
               regions[callers[place]],
               command_ids[place],
               coalesce(correlation_ids[place], command_ids[place]),
               causation_ids[place],
               actors[callers[place]],
               ips[callers[place]],
               es.moment(occurred_ats[place]),
               moment,
               convert_from(
                   substr(
                       event_data,
                       event_starts[place],
                       event_starts[place + 1] - event_starts[place]
                   ),
                   'UTF8'
               )::json,
               headers[place]::json,
               event_keys[place],
               es.placed(
                   substr(event_digests, 32 * place - 31, 32), base + place, version,
                   recorded
               )
          FROM found
         WHERE (SELECT troubled IS NOT TRUE FROM judged)
        RETURNING event.position, event.hash
    ),
    moved AS (
        UPDATE es.streams AS stream
           SET version = found.version,
               last_position = base + found.place
          FROM found
         WHERE stream.ctid = found.row
           AND (SELECT troubled IS NOT TRUE FROM judged)
        RETURNING 1
    ),
    kept AS (
        INSERT INTO es.commands (
            org_id, command_id, body_hash, stream_id, first_position, last_position,
            version, events, recorded_at
        )
        SELECT org_ids[callers[place]],
               command_ids[place],
               substr(body_hashes, 32 * place - 31, 32),
               stream_ids[place],
               base + place,
               base + place,
               version,
               1,
               moment
          FROM found
         WHERE (SELECT troubled IS NOT TRUE FROM judged)
    ),
    flushed AS (
        INSERT INTO es.flushes AS flush (last_position, recorded_at, chain)
        SELECT max(stored.position),
               moment,
               sha256(
                   head.chain || string_agg(stored.hash, ''::bytea ORDER BY position)
               )
          FROM stored
        HAVING count(*) = singles
        RETURNING flush.last_position, flush.recorded_at, flush.chain
    )
    SELECT judged.afters, judged.known, judged.troubled,
           (SELECT count(*) FROM moved),
           flushed.last_position, flushed.recorded_at, flushed.chain
      INTO afters, known, troubled, moved, tail.last_position, tail.recorded_at, tail.chain
      FROM judged
      LEFT JOIN flushed ON true;

    IF troubled THEN
        RETURN QUERY
        SELECT *
          FROM es.append_v4(
              command_ids, body_hashes, correlation_ids, causation_ids, occurred_ats,
              headers, callers, org_ids, regions, actors, ips, NULL, NULL,
              ARRAY(SELECT generate_series(1, singles)),
              array_fill(1, ARRAY[singles]),
              ARRAY(SELECT generate_series(1, singles)),
              stream_ids, slices, expected,
              ARRAY(SELECT generate_series(0, singles - 1)),
              array_fill(1, ARRAY[singles]),
              array_fill(false, ARRAY[singles]),
              event_ids, event_data, event_starts, event_keys, event_digests
          );
        RETURN;
    END IF;

    IF tail.last_position IS DISTINCT FROM base + singles OR moved <> known THEN
        RAISE EXCEPTION 'positions % to % are % events, and % of % streams moved',
            base + 1, tail.last_position, singles, moved, known
            USING ERRCODE = 'data_exception';
    END IF;

    IF known < singles THEN
        INSERT INTO es.streams (
            stream_id, org_id, version, first_position, last_position, closed
        )
        SELECT stream_ids[place], org_ids[callers[place]], 1, base + place,
               base + place, false
          FROM generate_series(1, singles) AS place
         WHERE afters[place] = 1;
    END IF;

    IF (base + 1023) / 1024 < (tail.last_position + 1023) / 1024 THEN
        PERFORM es.check_digest(tail.last_position);
    END IF;

    command := 0;
    status := 'ok';
    "position" := base;
    recorded_at := moment;
    receipt := tail.last_position || '-' || encode(tail.chain, 'hex');
    versions := afters;
    RETURN NEXT;
END
$$;

REVOKE ALL ON FUNCTION es.append_singles_v2(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], text[], smallint[], bigint[], uuid[], bytea, integer[], uuid[], bytea
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.append_singles_v2(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], text[], smallint[], bigint[], uuid[], bytea, integer[], uuid[], bytea
)
    TO rehearsal_app, rehearsal_projector;
