-- Stores what was decided under the lock, and returns the head after it.
--
-- The arguments down to event_digests are those of es.append_v4. `statuses` has an element
-- per command, or is null where every command is accepted. The rest has an element per
-- write:
--   befores  version of the stream before the write; null where it is not to be stored
--   firsts   position of the write's first event
--   origins  version of the stream before the call
--   openers  position of the stream's first event in the call
--   finals   whether no later write of the call adds to the stream; null for "always"
CREATE FUNCTION es.store_v4(
    head            es.flushes,
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
    first_writes    integer[],
    event_counts    integer[],
    write_commands  integer[],
    write_streams   text[],
    write_slices    smallint[],
    write_offsets   integer[],
    write_events    integer[],
    write_closes    boolean[],
    event_ids       uuid[],
    event_data      bytea,
    event_starts    integer[],
    event_keys      uuid[],
    event_digests   bytea,
    statuses        text[],
    befores         bigint[],
    firsts          bigint[],
    origins         bigint[],
    openers         bigint[],
    finals          boolean[]
)
    RETURNS es.flushes
    LANGUAGE plpgsql
AS $$
DECLARE
    moment   CONSTANT timestamptz := head.recorded_at;
    recorded CONSTANT bytea := timestamptz_send(head.recorded_at);
    stored   bigint;
    tail     es.flushes := head;
BEGIN
    WITH stored AS (
        INSERT INTO es.events AS event (
            position, stream_id, version, event_id, slice, org_id, region, command_id,
            correlation_id, causation_id, actor, ip, occurred_at, recorded_at, data,
            headers, key_id, hash
        )
        SELECT fact.position, fact.stream_id, fact.version, fact.event_id, fact.slice,
               fact.org_id, fact.region, fact.command_id, fact.correlation_id,
               fact.causation_id, fact.actor, fact.ip, fact.occurred_at, moment,
               convert_from(fact.data, 'UTF8')::json, fact.headers, fact.key_id,
               es.placed(fact.digest, fact.position, fact.version, recorded)
          FROM (
               SELECT own.*,
                      own.first + own.ordinal AS position,
                      own.before + own.ordinal AS version,
                      event_ids[own.skipped + own.ordinal] AS event_id,
                      substr(
                          event_data,
                          event_starts[own.skipped + own.ordinal],
                          event_starts[own.skipped + own.ordinal + 1]
                              - event_starts[own.skipped + own.ordinal]
                      ) AS data,
                      event_keys[own.skipped + own.ordinal] AS key_id,
                      substr(
                          event_digests,
                          32 * (own.skipped + own.ordinal) - 31,
                          32
                      ) AS digest
                 FROM (
                      SELECT write.*,
                             generate_series(1, write.events) AS ordinal
                        FROM (
                             SELECT asked.*,
                                    asked.header::json AS headers
                               FROM (
                                    SELECT given.stream_id,
                                           given.slice,
                                           given.skipped,
                                           given.events,
                                           firsts[given.write] - 1 AS first,
                                           befores[given.write] AS before,
                                           org_ids[given.caller] AS org_id,
                                           regions[given.caller] AS region,
                                           command_ids[given.command] AS command_id,
                                           coalesce(
                                               correlation_ids[given.command],
                                               command_ids[given.command]
                                           ) AS correlation_id,
                                           causation_ids[given.command]
                                               AS causation_id,
                                           actors[given.caller] AS actor,
                                           ips[given.caller] AS ip,
                                           es.moment(occurred_ats[given.command])
                                               AS occurred_at,
                                           store_v4.headers[given.command] AS header
                                      FROM (
                                           SELECT *,
                                                  callers[request.command] AS caller
                                             FROM unnest(
                                                  write_commands, write_streams,
                                                  write_slices, write_offsets,
                                                  write_events
                                             )
                                                  WITH ORDINALITY AS request (
                                                      command, stream_id, slice,
                                                      skipped, events, write
                                                  )
                                           OFFSET 0
                                      ) AS given
                                     WHERE befores[given.write] IS NOT NULL
                                    OFFSET 0
                               ) AS asked
                             OFFSET 0
                        ) AS write
                      OFFSET 0
                 ) AS own
               OFFSET 0
          ) AS fact
        RETURNING event.position, event.hash
    )
    SELECT count(*),
           max(stored.position),
           sha256(head.chain || string_agg(stored.hash, ''::bytea ORDER BY position))
      INTO stored, tail.last_position, tail.chain
      FROM stored;

    IF stored = 0 THEN
        tail := head;
    ELSIF tail.last_position <> head.last_position + stored THEN
        RAISE EXCEPTION 'positions % to % are not % events',
            head.last_position + 1, tail.last_position, stored
            USING ERRCODE = 'data_exception';
    ELSE
        INSERT INTO es.flushes
        SELECT tail.*;

        IF (head.last_position + 1023) / 1024 < (tail.last_position + 1023) / 1024 THEN
            PERFORM es.check_digest(tail.last_position);
        END IF;

        IF 0 = ANY (origins) THEN
            INSERT INTO es.streams (
                stream_id, org_id, version, first_position, last_position, closed
            )
            SELECT asked.stream_id, org_ids[callers[asked.command]],
                   befores[asked.write] + asked.events, openers[asked.write],
                   firsts[asked.write] + asked.events - 1, asked.closes
              FROM unnest(write_commands, write_streams, write_events, write_closes)
                   WITH ORDINALITY AS asked (command, stream_id, events, closes, write)
             WHERE origins[asked.write] = 0
               AND befores[asked.write] IS NOT NULL
               AND asked.events > 0
               AND coalesce(finals[asked.write], true);
        END IF;

        IF 0 < ANY (origins) THEN
            UPDATE es.streams AS stream
               SET version = befores[asked.write] + asked.events,
                   last_position = firsts[asked.write] + asked.events - 1,
                   closed = asked.closes
              FROM unnest(write_streams, write_events, write_closes)
                   WITH ORDINALITY AS asked (stream_id, events, closes, write)
             WHERE stream.stream_id = asked.stream_id
               AND origins[asked.write] > 0
               AND befores[asked.write] IS NOT NULL
               AND asked.events > 0
               AND coalesce(finals[asked.write], true);
        END IF;
    END IF;

    INSERT INTO es.commands (
        org_id, command_id, body_hash, stream_id, first_position, last_position,
        version, events, recorded_at
    )
    SELECT org_ids[callers[asked.command]],
           asked.command_id,
           substr(body_hashes, 32 * asked.command::integer - 31, 32),
           write_streams[asked.write],
           CASE WHEN asked.events > 0 THEN firsts[asked.write] END,
           CASE
               WHEN asked.events > 0 THEN firsts[asked.write] + asked.events - 1
               ELSE tail.last_position
           END,
           coalesce(befores[asked.write] + write_events[asked.write], 0),
           asked.events, moment
      FROM unnest(command_ids, first_writes, event_counts)
           WITH ORDINALITY AS asked (command_id, write, events, command)
     WHERE statuses IS NULL
        OR statuses[asked.command] = 'ok';

    RETURN tail;
END
$$;

REVOKE ALL ON FUNCTION es.store_v4(
    es.flushes, uuid[], bytea, uuid[], uuid[], bigint[], text[], integer[], text[],
    text[], text[], text[], integer[], integer[], integer[], text[], smallint[],
    integer[], integer[], boolean[], uuid[], bytea, integer[], uuid[], bytea, text[],
    bigint[], bigint[], bigint[], bigint[], boolean[]
) FROM PUBLIC;
