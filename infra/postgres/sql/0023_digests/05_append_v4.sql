-- Appends the events of many commands, each for itself, and returns a verdict for each:
-- ok, duplicate, mismatch, fenced, conflict or closed. A loser does not harm its neighbours.
-- Where all are accepted, one row says so: command 0 at the position of the head before,
-- and in `versions` that of each command's first stream afterwards. The commands' events
-- then follow on each other.
--
-- With one element per command: command_ids, body_hashes (32 bytes each, one after
-- another), correlation_ids (null where it is the command's own id), causation_ids,
-- occurred_ats (microseconds since 2000-01-01 UTC), headers, callers (a place in org_ids,
-- regions, actors and ips, which hold each caller once), work_ids and fences (of the
-- lease whose result it is), first_writes (the place of the command's first write, 0 for
-- none) and event_counts. Per write, in the order of commands: write_*, where
-- write_expected is -1 for any version, 0 for no stream, -2 for some version, or the
-- exact version, and write_offsets counts the events of the writes before. Per event, in
-- the order of writes: event_*, where event_data is the UTF-8 of all, one after another,
-- and event_starts the place of each one's first byte, then that after the last;
-- event_digests are 32 bytes each, one after another, as es.event_digest makes them.
-- Places count from 1. An array of nulls may be null.
--
-- A stream and a command id may occur only once in a call: a second would violate the
-- keys of es.events, es.streams or es.commands and fail the call.
CREATE FUNCTION es.append_v4(
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
    SET lock_timeout = '2s'
AS $$
#variable_conflict use_column
DECLARE
    head      CONSTANT es.flushes := es.take_head();
    tail      es.flushes;
    proof     text;
    fenced    boolean[];
    repeated  boolean;
    troubled  boolean;
    met       bigint[];
    answers   text[];
    refusals  text[];
    befores   bigint[];
    firsts    bigint[];
    statuses  text[];
    obstacles integer[];
BEGIN
    IF work_ids IS NOT NULL THEN
        fenced := es.fenced(work_ids, fences);
    END IF;

    repeated := EXISTS (
        SELECT
          FROM es.commands AS known
         WHERE known.command_id = ANY (command_ids)
    );

    SELECT array_agg(found.version ORDER BY found.write),
           array_agg(head.last_position + 1 + found.skipped ORDER BY found.write),
           bool_or(
               found.owner <> org_ids[callers[found.command]]
               OR found.closed
               OR CASE found.expected
                      WHEN -1 THEN false
                      WHEN -2 THEN found.version = 0
                      ELSE found.version <> found.expected
                  END
           )
      INTO met, firsts, troubled
      FROM (
           SELECT asked.command,
                  asked.expected,
                  asked.write,
                  asked.skipped,
                  coalesce(stream.version, 0) AS version,
                  stream.org_id AS owner,
                  stream.closed
             FROM unnest(write_commands, write_streams, write_expected, write_offsets)
                  WITH ORDINALITY AS asked (
                      command, stream_id, expected, skipped, write
                  )
             LEFT JOIN LATERAL (
                  SELECT existing.version, existing.org_id, existing.closed
                    FROM es.streams AS existing
                   WHERE existing.stream_id = asked.stream_id
                  OFFSET 0
             ) AS stream ON true
      ) AS found;

    befores := met;
    IF repeated OR troubled OR coalesce(true = ANY (fenced), false) THEN
        SELECT array_agg(
                   CASE
                       WHEN known.body_hash = substr(
                           body_hashes, 32 * asked.command::integer - 31, 32
                       ) THEN 'duplicate'
                       WHEN known.body_hash IS NOT NULL THEN 'mismatch'
                       WHEN fenced[asked.command] THEN 'fenced'
                   END
                   ORDER BY asked.command
               )
          INTO answers
          FROM unnest(command_ids, callers)
               WITH ORDINALITY AS asked (command_id, caller, command)
          LEFT JOIN LATERAL (
               SELECT recorded.body_hash
                 FROM es.commands AS recorded
                WHERE recorded.org_id = org_ids[asked.caller]
                  AND recorded.command_id = asked.command_id
               OFFSET 0
          ) AS known ON true;

        SELECT array_agg(
                   CASE
                       WHEN stream.org_id <> org_ids[callers[asked.command]]
                       THEN 'conflict'
                       WHEN stream.closed AND asked.events > 0 THEN 'closed'
                       WHEN CASE asked.expected
                                WHEN -1 THEN false
                                WHEN -2 THEN asked.version = 0
                                ELSE asked.version <> asked.expected
                            END THEN 'conflict'
                   END
                   ORDER BY asked.write
               )
          INTO refusals
          FROM unnest(
               write_commands, write_streams, write_expected, write_events, met
          )
               WITH ORDINALITY AS asked (
                   command, stream_id, expected, events, version, write
               )
          LEFT JOIN LATERAL (
               SELECT existing.org_id, existing.closed
                 FROM es.streams AS existing
                WHERE existing.stream_id = asked.stream_id
               OFFSET 0
          ) AS stream ON true;

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

        SELECT array_agg(kept.version ORDER BY kept.write),
               array_agg(head.last_position + 1 + kept.earlier ORDER BY kept.write)
          INTO befores, firsts
          FROM (
               SELECT asked.write,
                      CASE
                          WHEN statuses[asked.command] = 'ok' THEN asked.version
                      END AS version,
                      coalesce(
                          sum(asked.events)
                              FILTER (WHERE statuses[asked.command] = 'ok')
                              OVER (
                                  ORDER BY asked.write
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                              ),
                          0
                      ) AS earlier
                 FROM unnest(write_commands, write_events, met)
                      WITH ORDINALITY AS asked (command, events, version, write)
          ) AS kept;
    END IF;

    tail := es.store_v4(
        head, command_ids, body_hashes, correlation_ids, causation_ids, occurred_ats,
        headers, callers, org_ids, regions, actors, ips, first_writes, event_counts,
        write_commands, write_streams, write_slices, write_offsets, write_events,
        write_closes, event_ids, event_data, event_starts, event_keys,
        event_digests, statuses,
        befores, firsts, befores, firsts, NULL
    );
    proof := tail.last_position || '-' || encode(tail.chain, 'hex');

    IF statuses IS NULL THEN
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
           coalesce(known.version, met[asked.obstacle], 0),
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

REVOKE ALL ON FUNCTION es.append_v4(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], uuid[], bigint[], integer[], integer[], integer[], text[], smallint[],
    bigint[], integer[], integer[], boolean[], uuid[], bytea, integer[], uuid[], bytea
) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.append_v4(
    uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[], text[], text[],
    text[], uuid[], bigint[], integer[], integer[], integer[], text[], smallint[],
    bigint[], integer[], integer[], boolean[], uuid[], bytea, integer[], uuid[], bytea
)
    TO rehearsal_app, rehearsal_projector;
