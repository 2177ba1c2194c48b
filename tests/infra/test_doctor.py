"""What an operator is told first, and what to do about it."""

import asyncpg
import pytest

from infra.operations.doctor import Finding, examine
from tests.postgres_ladder import Database


pytestmark = pytest.mark.furnished


async def looked_at(database: Database) -> dict[str, Finding]:
    found = await examine(owner=database.owner, app=database.app, keys=database.keys)
    return {each.what: each for each in found}


async def test_nothing_is_wrong_with_a_database_that_is_up_to_date(
    database: Database,
) -> None:
    assert all(each.ok for each in (await looked_at(database)).values())


async def test_tables_that_an_upgrade_left_behind_are_named(
    database: Database,
) -> None:
    connection = await asyncpg.connect(database.superuser)
    try:
        await connection.execute(
            "UPDATE es.projections SET state = 'stale' WHERE name = 'audit.facts'"
        )
        await connection.execute(
            "UPDATE es.projections SET version = 0 WHERE name = 'testing.trials'"
        )
    finally:
        await connection.close()
    found = (await looked_at(database))["read tables"]
    assert not found.ok
    assert found.found == (
        "as an earlier version left them: audit.facts testing.trials; run "
        "`rehearsal projections rebuild --switch` with these names"
    )
