-- Appends one event each of many commands to a stream each, as es.append_v3 does with
-- whatever commands write, and returns what it returns. An element of an array is that
-- of the command at its place; org_ids, regions, actors and ips are by caller, and
-- event_starts has one more, where the last event ends.
--
-- Nearly all commands are such ones, and nearly all are accepted. What all events share
-- is made once, no stream is looked up twice, and a single statement reads the arrays a
-- single time. Where a command is not plainly accepted, es.append_v3 judges them all.
CREATE FUNCTION es.append_singles_v1(
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
    event_keys      uuid[]
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
    origins  bytea[];
    authors  bytea[];
    afters   bigint[];
    rows     tid[];
    troubled boolean;
    known    bigint;
    moved    bigint;
    stored   bigint;
    tail     es.flushes := head;
BEGIN
    SELECT array_agg(found.version + 1 ORDER BY found.place),
           array_agg(found.row ORDER BY found.place),
           count(found.row),
           bool_or(
               found.owner <> org_ids[found.caller]
               OR found.closed
               OR CASE found.expected
                      WHEN -1 THEN false
                      WHEN -2 THEN found.version = 0
                      ELSE found.version <> found.expected
                  END
           )
      INTO afters, rows, known, troubled
      FROM (
           SELECT asked.caller,
                  asked.expected,
                  asked.place,
                  coalesce(stream.version, 0) AS version,
                  stream.row,
                  stream.org_id AS owner,
                  stream.closed
             FROM unnest(callers, stream_ids, expected)
                  WITH ORDINALITY AS asked (caller, stream_id, expected, place)
             LEFT JOIN LATERAL (
                  SELECT existing.ctid AS row,
                         existing.version,
                         existing.org_id,
                         existing.closed
                    FROM es.streams AS existing
                   WHERE existing.stream_id = asked.stream_id
                  OFFSET 0
             ) AS stream ON true
      ) AS found;

    IF troubled OR EXISTS (
        SELECT
          FROM es.commands AS known
         WHERE known.command_id = ANY (command_ids)
    ) THEN
        RETURN QUERY
        SELECT *
          FROM es.append_v3(
              command_ids, body_hashes, correlation_ids, causation_ids, occurred_ats,
              headers, callers, org_ids, regions, actors, ips, NULL, NULL,
              ARRAY(SELECT generate_series(1, singles)),
              array_fill(1, ARRAY[singles]),
              ARRAY(SELECT generate_series(1, singles)),
              stream_ids, slices, expected,
              ARRAY(SELECT generate_series(0, singles - 1)),
              array_fill(1, ARRAY[singles]),
              array_fill(false, ARRAY[singles]),
              event_ids, event_data, event_starts, event_keys
          );
        RETURN;
    END IF;

    SELECT array_agg(
               es.field(caller.org_id) || es.field(caller.region)
               ORDER BY caller.place
           ),
           array_agg(
               es.field(caller.actor) || es.field(caller.ip) ORDER BY caller.place
           )
      INTO origins, authors
      FROM unnest(org_ids, regions, actors, ips)
           WITH ORDINALITY AS caller (org_id, region, actor, ip, place);

    WITH given AS MATERIALIZED (
        SELECT asked.command_id,
               coalesce(asked.correlation_id, asked.command_id) AS correlation_id,
               asked.causation_id,
               asked.occurred_at,
               asked.header,
               asked.caller,
               org_ids[asked.caller] AS org_id,
               asked.stream_id,
               asked.slice,
               asked.event_id,
               asked.key_id,
               asked.version,
               asked.row,
               asked.place::integer AS place,
               base + asked.place AS position,
               substr(
                   event_data,
                   asked.start,
                   event_starts[asked.place + 1] - asked.start
               ) AS data
          FROM unnest(
               command_ids, correlation_ids, causation_ids, occurred_ats, headers,
               callers, stream_ids, slices, event_ids, event_keys, afters, rows,
               event_starts
          )
               WITH ORDINALITY AS asked (
                   command_id, correlation_id, causation_id, occurred_at, header,
                   caller, stream_id, slice, event_id, key_id, version, row,
                   start, place
               )
         WHERE asked.command_id IS NOT NULL
    ),
    stored AS (
        INSERT INTO es.events AS event (
            position, stream_id, version, event_id, slice, org_id, region, command_id,
            correlation_id, causation_id, actor, ip, occurred_at, recorded_at, data,
            headers, key_id, hash
        )
        SELECT given.position, given.stream_id, given.version, given.event_id,
               given.slice, given.org_id, regions[given.caller], given.command_id,
               given.correlation_id, given.causation_id, actors[given.caller],
               ips[given.caller], es.moment(given.occurred_at), moment,
               convert_from(given.data, 'UTF8')::json, given.header::json,
               given.key_id,
               sha256(
                   int8send(given.position)
                   || int8send(given.version)
                   || uuid_send(given.event_id)
                   || int8send(given.occurred_at)
                   || recorded
                   || int2send(given.slice)
                   || es.field(given.stream_id)
                   || origins[given.caller]
                   || es.field(given.command_id)
                   || es.field(given.correlation_id)
                   || es.field(given.causation_id)
                   || authors[given.caller]
                   || es.field(given.key_id)
                   || int4send(octet_length(given.data))
                   || given.data
                   || es.field(given.header)
               )
          FROM given
        RETURNING event.position, event.hash
    ),
    moved AS (
        UPDATE es.streams AS stream
           SET version = given.version,
               last_position = given.position
          FROM given
         WHERE stream.ctid = given.row
        RETURNING 1
    ),
    kept AS (
        INSERT INTO es.commands (
            org_id, command_id, body_hash, stream_id, first_position, last_position,
            version, events, recorded_at
        )
        SELECT given.org_id,
               given.command_id,
               substr(body_hashes, 32 * given.place - 31, 32),
               given.stream_id,
               given.position,
               given.position,
               given.version,
               1,
               moment
          FROM given
    )
    SELECT count(*),
           max(stored.position),
           sha256(head.chain || string_agg(stored.hash, ''::bytea ORDER BY position)),
           (SELECT count(*) FROM moved)
      INTO stored, tail.last_position, tail.chain, moved
      FROM stored;

    IF tail.last_position <> base + singles OR stored <> singles OR moved <> known THEN
        RAISE EXCEPTION 'positions % to % are % events, and % of % streams moved',
            base + 1, tail.last_position, stored, moved, known
            USING ERRCODE = 'data_exception';
    END IF;

    INSERT INTO es.flushes
    SELECT tail.*;

    IF known < singles THEN
        INSERT INTO es.streams (
            stream_id, org_id, version, first_position, last_position, closed
        )
        SELECT asked.stream_id, org_ids[asked.caller], 1, base + asked.place,
               base + asked.place, false
          FROM unnest(callers, stream_ids, rows)
               WITH ORDINALITY AS asked (caller, stream_id, row, place)
         WHERE asked.row IS NULL;
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

REVOKE ALL ON FUNCTION es.append_singles_v1(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], text[], smallint[], bigint[], uuid[], bytea, integer[], uuid[]
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.append_singles_v1(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], text[], smallint[], bigint[], uuid[], bytea, integer[], uuid[]
)
    TO rehearsal_app, rehearsal_projector;
