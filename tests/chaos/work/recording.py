"""What the campaign has its database write down, and the safeguards that it takes out.

chaos.moves holds every move of a job, chaos.results every result that an append looked
at, with the lease that the job had at that moment; both commit with what they tell of.
"""

from typing import Final

import asyncpg

from tests.chaos.harm import rewrite, trouble_commits


READY: Final = "AND asked.state = 'ready'"
READY_OR_DONE: Final = "AND asked.state IN ('ready', 'done')"

MOVES: Final = """
CREATE TABLE chaos.moves (
    n       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id  uuid        NOT NULL,
    was     text        NOT NULL,
    state   text        NOT NULL,
    fence   bigint      NOT NULL,
    attempt integer     NOT NULL
);

CREATE FUNCTION chaos.moved()
    RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $$
BEGIN
    INSERT INTO chaos.moves (job_id, was, state, fence, attempt)
    VALUES (NEW.id, OLD.state, NEW.state, NEW.fence, NEW.attempt);
    RETURN NULL;
END
$$;

CREATE TRIGGER moved
    AFTER UPDATE
    ON es.work
    FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.fence <> NEW.fence)
    EXECUTE FUNCTION chaos.moved();
"""

RESULTS: Final = """
CREATE TABLE chaos.results (
    n       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid     text    NOT NULL DEFAULT pg_current_xact_id()::xid::text,
    job_id  uuid    NOT NULL,
    fence   bigint  NOT NULL,
    stale   boolean NOT NULL,
    refused boolean NOT NULL
);

CREATE OR REPLACE FUNCTION es.fenced(work_ids uuid[], fences bigint[])
    RETURNS boolean[]
    LANGUAGE sql
    VOLATILE
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH asked AS MATERIALIZED (
        SELECT given.work_id, given.fence, given.place,
               given.work_id IS NOT NULL
               AND NOT EXISTS (
                   SELECT
                     FROM es.work AS job
                    WHERE job.id = given.work_id
                      AND job.fence = given.fence
                      AND job.state = 'leased'
               ) AS stale
          FROM unnest(work_ids, fences)
               WITH ORDINALITY AS given (work_id, fence, place)
    ), told AS (
        INSERT INTO chaos.results (job_id, fence, stale, refused)
        SELECT asked.work_id, asked.fence, asked.stale, asked.stale AND {fenced}
          FROM asked
         WHERE asked.work_id IS NOT NULL
         ORDER BY asked.place
    )
    SELECT array_agg(asked.stale AND {fenced} ORDER BY asked.place)
      FROM asked
$$;
"""


async def record(owner: str, *, without: str | None) -> None:
    """Have moves and results written down, and take a safeguard out."""
    await trouble_commits(owner)
    connection = await asyncpg.connect(owner)
    try:
        async with connection.transaction():
            await connection.execute(MOVES)
            fenced = "false" if without == "fence" else "true"
            await connection.execute(RESULTS.replace("{fenced}", fenced))
            if without == "inbox":
                await rewrite(connection, "es.claim_work_v1", READY, READY_OR_DONE)
    finally:
        await connection.close()
