"""Many playgrounds, many evaluations: dashboards go by indexes under the policies."""

from typing import Final

import asyncpg

from projections.catalogue import PLAYGROUNDS
from services.dashboard import playgrounds as pages
from tests.postgres_ladder import Database
from tests.projections.small import ListLog, feed, projector
from tests.projections.test_playground_views import seen_by


COUNT: Final = 200
EACH: Final = 200

FILL: Final = """
INSERT INTO playgrounds_tables.playgrounds__v1
SELECT
    md5('p' || p)::uuid, 'Playground ' || p, 'ab_testing', '', '',
    md5('o' || p % 100)::uuid, true, 'active', false, 1, 3600, p, NULL, NULL,
    'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.playground_metrics__v1
SELECT
    md5('p' || p)::uuid, 'Playground ' || p, 'ab_testing', 'owner-' || p % 100,
    'library', 'eu', now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.model_configurations__v1
SELECT
    md5('m' || p || k)::uuid, md5('p' || p)::uuid, 'model_' || k, k, 'elevenlabs',
    k, k, 1000, false, 'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, unnest(ARRAY['a', 'b']) AS k;

INSERT INTO playgrounds_tables.evaluation_counters__v1
SELECT
    md5('c' || p || k)::uuid, md5('p' || p)::uuid, 'model_' || k, {each} / 2, 0,
    {each} / 2, 'owner-' || p % 100, 'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, unnest(ARRAY['a', 'b']) AS k;

INSERT INTO playgrounds_tables.question_metrics__v1
SELECT
    md5('q' || p)::uuid, 'Tone?', md5('p' || p)::uuid, 'select', NULL,
    '[{{"label": "W", "value": "warm"}}, {{"label": "C", "value": "cold"}}]',
    'owner-' || p % 100, 'library', 'eu', now()
FROM generate_series(1, {count}) AS p;

INSERT INTO playgrounds_tables.evaluation_sessions__v1
SELECT
    md5('s' || p || '/' || e)::uuid, md5('p' || p)::uuid, md5('t' || e)::uuid,
    'model_' || CASE e % 2 WHEN 0 THEN 'a' ELSE 'b' END, 'submitted', e, 1, 1, NULL,
    NULL, now(), now(), now(), 1000, 1, NULL, 'tester-' || e, 'owner-' || p % 100,
    'library', 'eu', now(), now()
FROM generate_series(1, {count}) AS p, generate_series(1, {each}) AS e;

INSERT INTO playgrounds_tables.evaluations__v1
SELECT
    md5('e' || p || '/' || e)::uuid, md5('p' || p)::uuid, md5('t' || e)::uuid,
    'model_' || CASE e % 2 WHEN 0 THEN 'a' ELSE 'b' END, md5('q' || p)::uuid, NULL,
    CASE e % 3 WHEN 0 THEN 'warm' ELSE 'cold' END, 1 + e % 5,
    md5('s' || p || '/' || e)::uuid, true, NULL, 'tester-' || e,
    'owner-' || p % 100, 'library', 'eu', now()
FROM generate_series(1, {count}) AS p, generate_series(1, {each}) AS e;
"""

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
        await connection.execute(FILL.format(count=COUNT, each=EACH))
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
