"""Many playgrounds, many evaluations: dashboards go by indexes under the policies."""

from typing import Final

import asyncpg

from projections.catalogue import PLAYGROUNDS
from services.dashboard import playgrounds as pages
from tests.postgres_ladder import Database
from tests.projections.playgrounds import many
from tests.projections.small import ListLog, feed, projector
from tests.projections.test_playground_views import seen_by


COUNT: Final = 200
EACH: Final = 200

ONE: Final = "md5('p7')::uuid"
LARGE: Final = ("evaluations__v1", "evaluation_sessions__v1")
QUERIES: Final = {
    "metrics": pages.METRICS,
    "choices": pages.CHOICES,
    "answers": pages.ANSWERS,
    "texts": pages.TEXTS,
}


async def fill(database: Database) -> None:
    async with projector(database) as pool:
        await feed(pool, ListLog(), PLAYGROUNDS)
    connection = await asyncpg.connect(database.projector)
    try:
        await connection.execute(many.rows(COUNT, EACH))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def of_one(query: str) -> str:
    """Return a query of one playground as it stands, at most 100 rows."""
    return query.replace("$1", ONE).replace("$2", "100")


async def test_dashboards_go_by_indexes_and_add_up(database: Database) -> None:
    await fill(database)
    async with seen_by(database, "owner-7", "user") as owner:
        for name, query in QUERIES.items():
            lines = await owner.fetch(f"EXPLAIN {of_one(query)}")
            plan = "\n".join(line for (line,) in lines)
            for table in LARGE:
                assert f"Seq Scan on {table}" not in plan, (name, plan)
        (metrics,) = await owner.fetch(of_one(pages.METRICS))
        choices = await owner.fetch(of_one(pages.CHOICES))
    assert (metrics["total_evaluations"], metrics["total_answers"]) == (EACH, EACH)
    assert sum(row["response_count"] for row in choices) == EACH
    async with seen_by(database, "tester-9") as tester:
        own = "SELECT * FROM evaluations WHERE tester = 'tester-9'"
        lines = await tester.fetch(f"EXPLAIN {own}")
        assert "Seq Scan" not in "\n".join(line for (line,) in lines)
        assert len(await tester.fetch(own)) == COUNT
