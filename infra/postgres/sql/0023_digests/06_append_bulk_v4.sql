-- Appends the events of many commands in order, all or nothing, and returns a verdict
-- for each as es.append_v4 does, with the same arrays. A stream and a command id may
-- occur many times: each expectation counts the commands before, and a repeated command
-- is a duplicate. Where a verdict is neither ok nor duplicate, nothing is stored.
CREATE FUNCTION es.append_bulk_v4(
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
    work_ids        uuid[],
    fences          bigint[],
    first_writes    integer[],
    event_counts    integer[],
    write_commands  integer[],
    write_streams   text[],
    write_slices    smallint[],
    write_expected  bigint[],
    write_offsets   integer[],
    write_events    integer[],
    write_closes    boolean[],
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
AS $$
#variable_conflict use_column
DECLARE
    head      CONSTANT es.flushes := es.take_head();
    tail      es.flushes := head;
    proof     text;
    fenced    boolean[];
    plain     boolean := false;
    answers   text[];
    versions  bigint[];
    refusals  text[];
    befores   bigint[];
    firsts    bigint[];
    origins   bigint[];
    openers   bigint[];
    finals    boolean[];
    statuses  text[];
    obstacles integer[];
BEGIN
    IF work_ids IS NOT NULL THEN
        fenced := es.fenced(work_ids, fences);
    END IF;

    -- Where no id and no stream comes twice, versions are those of es.streams.
    IF NOT coalesce(true = ANY (fenced), false)
        AND NOT EXISTS (
            SELECT
              FROM es.commands AS known
             WHERE known.command_id = ANY (command_ids)
        )
        AND cardinality(command_ids) = (
            SELECT count(DISTINCT given.command_id)
              FROM unnest(command_ids) AS given (command_id)
        )
        AND cardinality(write_streams) = (
            SELECT count(DISTINCT given.stream_id COLLATE "C")
              FROM unnest(write_streams) AS given (stream_id)
        )
    THEN
        SELECT array_agg(met.version ORDER BY met.write),
               array_agg(head.last_position + 1 + met.skipped ORDER BY met.write),
               bool_or(
                   met.owner <> org_ids[callers[met.command]]
                   OR met.closed
                   OR CASE met.expected
                          WHEN -1 THEN false
                          WHEN -2 THEN met.version = 0
                          ELSE met.version <> met.expected
                      END
               ) IS NOT TRUE
          INTO befores, firsts, plain
          FROM (
               SELECT asked.command,
                      asked.expected,
                      asked.write,
                      asked.skipped,
                      coalesce(stream.version, 0) AS version,
                      stream.org_id AS owner,
                      stream.closed
                 FROM unnest(
                      write_commands, write_streams, write_expected, write_offsets
                 )
                      WITH ORDINALITY AS asked (
                          command, stream_id, expected, skipped, write
                      )
                 LEFT JOIN LATERAL (
                      SELECT existing.version, existing.org_id, existing.closed
                        FROM es.streams AS existing
                       WHERE existing.stream_id = asked.stream_id
                      OFFSET 0
                 ) AS stream ON true
          ) AS met;
        origins := befores;
        openers := firsts;
    END IF;

    IF NOT plain THEN
        SELECT array_agg(
                   CASE
                       WHEN asked.first_hash IS NULL THEN
                           CASE WHEN fenced[asked.command] THEN 'fenced' END
                       WHEN asked.first_hash = asked.body_hash THEN 'duplicate'
                       ELSE 'mismatch'
                   END
                   ORDER BY asked.command
               )
          INTO answers
          FROM (
               SELECT request.command,
                      request.hash AS body_hash,
                      coalesce(
                          known.body_hash,
                          first_value(request.hash) OVER earlier
                      ) AS first_hash
                 FROM (
                      SELECT given.command_id,
                             given.command,
                             org_ids[given.caller] AS org_id,
                             substr(
                                 body_hashes, 32 * given.command::integer - 31, 32
                             ) AS hash
                        FROM unnest(command_ids, callers)
                             WITH ORDINALITY AS given (command_id, caller, command)
                 ) AS request
                 LEFT JOIN LATERAL (
                      SELECT recorded.body_hash
                        FROM es.commands AS recorded
                       WHERE recorded.org_id = request.org_id
                         AND recorded.command_id = request.command_id
                      OFFSET 0
                 ) AS known ON true
               WINDOW earlier AS (
                   PARTITION BY request.org_id, request.command_id
                   ORDER BY request.command
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               )
          ) AS asked;

        SELECT array_agg(met.version ORDER BY met.write),
               array_agg(CASE WHEN met.counts THEN met.version END ORDER BY met.write),
               array_agg(met.position ORDER BY met.write),
               array_agg(met.origin ORDER BY met.write),
               array_agg(met.opener ORDER BY met.write),
               array_agg(met.version + met.events = met.final ORDER BY met.write),
               array_agg(
                   CASE
                      WHEN met.counts THEN
                      CASE
                          WHEN met.owner <> org_ids[callers[met.command]] THEN 'conflict'
                          WHEN met.closed AND met.events > 0 THEN 'closed'
                          WHEN CASE met.expected
                                   WHEN -1 THEN false
                                   WHEN -2 THEN met.version = 0
                                   ELSE met.version <> met.expected
                               END THEN 'conflict'
                      END
                   END
                   ORDER BY met.write
               )
          INTO versions, befores, firsts, origins, openers, finals, refusals
          FROM (
               SELECT placed.*,
                      placed.origin
                          + coalesce(sum(placed.adds) OVER earlier, 0) AS version,
                      placed.origin
                          + sum(placed.adds) OVER (PARTITION BY placed.stream_id) AS final,
                      min(placed.position) FILTER (WHERE placed.adds > 0)
                          OVER (PARTITION BY placed.stream_id) AS opener,
                      coalesce(
                          placed.org_id,
                          CASE
                              WHEN sum(placed.adds) OVER earlier > 0 THEN
                                  first_value(org_ids[callers[placed.command]]) OVER (
                                      PARTITION BY placed.stream_id
                                      ORDER BY placed.adds = 0, placed.write
                                  )
                          END
                      ) AS owner,
                      placed.was_closed
                          OR coalesce(
                              bool_or(placed.closes AND placed.adds > 0) OVER earlier,
                              false
                          ) AS closed
                 FROM (
                      SELECT asked.command,
                             asked.stream_id,
                             asked.expected,
                             asked.events,
                             asked.closes,
                             asked.write,
                             asked.counts,
                             asked.adds,
                             head.last_position + 1
                                 + sum(asked.adds) OVER (ORDER BY asked.write)
                                 - asked.adds AS position,
                             coalesce(stream.version, 0) AS origin,
                             stream.org_id,
                             coalesce(stream.closed, false) AS was_closed
                        FROM (
                             SELECT request.*,
                                    answers[request.command] IS NULL AS counts,
                                    CASE
                                        WHEN answers[request.command] IS NULL
                                        THEN request.events
                                        ELSE 0
                                    END AS adds
                               FROM unnest(
                                    write_commands, write_streams, write_expected,
                                    write_events, write_closes
                               )
                                    WITH ORDINALITY AS request (
                                        command, stream_id, expected, events, closes, write
                                    )
                        ) AS asked
                        LEFT JOIN LATERAL (
                             SELECT existing.version, existing.org_id, existing.closed
                               FROM es.streams AS existing
                              WHERE existing.stream_id = asked.stream_id
                             OFFSET 0
                        ) AS stream ON true
                 ) AS placed
               WINDOW earlier AS (
                   PARTITION BY placed.stream_id
                   ORDER BY placed.write
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
               )
          ) AS met;

        SELECT array_agg(
                   coalesce(answers[asked.command], refusals[obstacle.write], 'ok')
                   ORDER BY asked.command
               ),
               array_agg(
                   CASE WHEN answers[asked.command] IS NULL THEN obstacle.write END
                   ORDER BY asked.command
               )
          INTO statuses, obstacles
          FROM generate_series(1, cardinality(command_ids)) AS asked (command)
          LEFT JOIN (
               SELECT refused.command,
                      min(refused.write)::integer AS write
                 FROM unnest(write_commands, refusals)
                      WITH ORDINALITY AS refused (command, refusal, write)
                WHERE refused.refusal IS NOT NULL
                GROUP BY refused.command
          ) AS obstacle
            ON obstacle.command = asked.command;
    END IF;

    IF plain OR statuses <@ ARRAY['ok', 'duplicate'] THEN
        tail := es.store_v4(
            head, command_ids, body_hashes, correlation_ids, causation_ids,
            occurred_ats, headers, callers, org_ids, regions, actors, ips, first_writes,
            event_counts, write_commands, write_streams, write_slices, write_offsets,
            write_events, write_closes, event_ids, event_data, event_starts, event_keys,
            event_digests, statuses, befores, firsts, origins, openers, finals
        );
    END IF;
    proof := tail.last_position || '-' || encode(tail.chain, 'hex');

    IF plain OR 'ok' = ALL (statuses) THEN
        RETURN QUERY
        SELECT 0, 'ok', head.last_position, NULL::bigint, NULL::integer, NULL::text,
               head.recorded_at, proof,
               (
                   SELECT array_agg(
                              befores[asked.write] + write_events[asked.write]
                              ORDER BY asked.command
                          )
                     FROM unnest(first_writes)
                          WITH ORDINALITY AS asked (write, command)
               );
        RETURN;
    END IF;

    RETURN QUERY
    SELECT asked.command::integer,
           'ok',
           CASE
               WHEN asked.events > 0 THEN firsts[asked.write] + asked.events - 1
               ELSE tail.last_position
           END,
           coalesce(befores[asked.write] + write_events[asked.write], 0),
           asked.events,
           NULL::text,
           head.recorded_at,
           proof,
           NULL::bigint[]
      FROM unnest(first_writes, event_counts)
           WITH ORDINALITY AS asked (write, events, command)
     WHERE statuses[asked.command] = 'ok';

    RETURN QUERY
    SELECT asked.command::integer,
           statuses[asked.command],
           coalesce(known.last_position, 0),
           coalesce(known.version, versions[asked.obstacle], 0),
           coalesce(known.events, 0),
           write_streams[asked.obstacle],
           known.recorded_at,
           es.receipt(known.last_position),
           NULL::bigint[]
      FROM unnest(command_ids, callers, obstacles)
           WITH ORDINALITY AS asked (command_id, caller, obstacle, command)
      LEFT JOIN LATERAL (
           SELECT recorded.*
             FROM es.commands AS recorded
            WHERE statuses[asked.command] = 'duplicate'
              AND recorded.org_id = org_ids[asked.caller]
              AND recorded.command_id = asked.command_id
           OFFSET 0
      ) AS known ON true
     WHERE statuses[asked.command] <> 'ok';
END
$$;

REVOKE ALL ON FUNCTION es.append_bulk_v4(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], uuid[], bigint[], integer[], integer[], integer[], text[], smallint[],
    bigint[], integer[], integer[], boolean[], uuid[], bytea, integer[], uuid[], bytea
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.append_bulk_v4(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], uuid[], bigint[], integer[], integer[], integer[], text[], smallint[],
    bigint[], integer[], integer[], boolean[], uuid[], bytea, integer[], uuid[], bytea
)
    TO rehearsal_app, rehearsal_projector;
