-- Makes due what waited for any of many jobs that have ended, as es.free_next does for
-- one: it asks only for the keys and groups that have jobs left.
CREATE FUNCTION es.free_after(ended uuid[])
    RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    waiting record;
BEGIN
    FOR waiting IN
        SELECT DISTINCT job.key
          FROM es.work AS job
         WHERE job.id = ANY (ended)
           AND EXISTS (
               SELECT
                 FROM es.work AS later
                WHERE later.key = job.key
                  AND later.state IN ('ready', 'leased')
           )
    LOOP
        PERFORM es.free_next(waiting.key, NULL);
    END LOOP;

    FOR waiting IN
        SELECT job.group_key, least(count(*), max(job.group_limit)) AS places
          FROM es.work AS job
         WHERE job.id = ANY (ended)
           AND job.group_key IS NOT NULL
         GROUP BY job.group_key
    LOOP
        FOR place IN 1 .. waiting.places LOOP
            EXIT WHEN es.free_next(NULL, waiting.group_key) = 0;
        END LOOP;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION es.free_after(uuid[]) FROM PUBLIC;
