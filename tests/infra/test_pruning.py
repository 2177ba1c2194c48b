"""Pruning: outcomes that are old are forgotten, newer ones are not."""

import asyncpg

from infra.postgres.event_log import open_event_log
from infra.postgres.pool import open_pool
from infra.postgres.pruning import prune
from tests.builders import BODY, ORG, entry, new_id, new_stream, said, write
from tests.postgres_ladder import Database


AGE = """
UPDATE es.commands
SET recorded_at = recorded_at - interval '31 days'
WHERE command_id = $1
"""


async def test_only_outcomes_of_more_than_thirty_days_are_forgotten(
    database: Database,
) -> None:
    old, recent = new_id(), new_id()
    pool = await open_pool(
        database.app, min_size=1, max_size=1, application_name="test"
    )
    async with pool, open_event_log(database.app) as log:
        for command in (old, recent):
            await log.append(entry(write(new_stream(), said("a")), command_id=command))
        superuser = await asyncpg.connect(database.superuser)
        await superuser.execute(AGE, old)
        await superuser.close()
        assert await prune(pool) == 1
        forgotten, known = await log.outcomes(ORG, [(old, BODY), (recent, BODY)])
        assert forgotten is None
        assert known is not None
