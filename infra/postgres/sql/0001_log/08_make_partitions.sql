-- Makes partitions until `ahead` of them hold nothing but positions to come, each of
-- `span` positions, and returns how many were made. A position without a partition
-- cannot be appended. Neither readers nor writers wait for it.
CREATE FUNCTION es.make_partitions(
    ahead integer DEFAULT 2,
    span  bigint  DEFAULT 16777216
)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head  bigint;
    lower bigint;
    spare integer;
    made  integer := 0;
    name  text;
BEGIN
    IF ahead NOT BETWEEN 1 AND 64 OR span < 1 THEN
        RAISE EXCEPTION 'ahead is 1 to 64 and span at least 1'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    PERFORM pg_advisory_xact_lock(1919248485, 2);

    SELECT coalesce(max(last_position), 0)
      INTO head
      FROM es.flushes;

    SELECT coalesce(max(bounds.upper), 0),
           count(*) FILTER (WHERE bounds.lower > head)
      INTO lower, spare
      FROM pg_inherits AS child
      JOIN pg_class AS part
        ON part.oid = child.inhrelid
     CROSS JOIN LATERAL (
           SELECT bound[1]::bigint AS lower,
                  bound[2]::bigint AS upper
             FROM regexp_matches(
                  pg_get_expr(part.relpartbound, part.oid),
                  'FROM \(''?(\d+)''?\) TO \(''?(\d+)''?\)'
             ) AS bound
      ) AS bounds
     WHERE child.inhparent = 'es.events'::regclass;

    WHILE spare < ahead LOOP
        name := 'events_' || lower;
        EXECUTE format(
            'CREATE TABLE es.%1$I (
                LIKE es.events INCLUDING ALL,
                UNIQUE (stream_id, version)
            )
            WITH (
                autovacuum_freeze_min_age = 0,
                autovacuum_vacuum_insert_scale_factor = 0.05
            );
            CREATE TRIGGER refuse_truncate
                BEFORE TRUNCATE
                ON es.%1$I
                EXECUTE FUNCTION es.refuse_change();
            ALTER TABLE es.events
                ATTACH PARTITION es.%1$I
                FOR VALUES FROM (%2$s) TO (%3$s);
            ALTER TABLE es.%1$I
                ENABLE ALWAYS TRIGGER refuse_change;
            ALTER TABLE es.%1$I
                ENABLE ALWAYS TRIGGER refuse_truncate',
            name, lower, lower + span
        );
        made := made + 1;
        IF lower > head THEN
            spare := spare + 1;
        END IF;
        lower := lower + span;
    END LOOP;

    RETURN made;
END
$$;

REVOKE ALL ON FUNCTION es.make_partitions(integer, bigint) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION es.make_partitions(integer, bigint)
    TO rehearsal_app;

SELECT es.make_partitions();
