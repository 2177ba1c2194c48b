"""Playgrounds come from another installation's database: whole, once, with a report."""

from typing import Any, Final

import asyncpg
import pytest
from msgspec.structs import replace

from events.errors import Unavailable
from events.ids import PlaygroundId
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from infra.operations.importing_playgrounds import Report, import_playgrounds
from services import guard
from services.handling import Handler
from services.playgrounds import ledgers, playgrounds
from services.playgrounds.verifying import proof
from services.routing import DECIDER_OF
from tests.given import meta_of
from tests.postgres_ladder import Database


META: Final = replace(meta_of("user:operator"), scopes=frozenset({"import"}))
TABLES: Final = """
CREATE SCHEMA elsewhere;
SET search_path = elsewhere;
CREATE TYPE playground_type AS ENUM ('ab_testing', 'tuning');
CREATE TYPE question_type AS ENUM ('select', 'input_string');
CREATE TABLE playgrounds (
    id uuid PRIMARY KEY, name varchar(255) NOT NULL, type playground_type,
    description text, support_text text, created_by uuid,
    is_active boolean DEFAULT true, restricted_emails text[],
    created_at timestamp, updated_at timestamp
);
CREATE TABLE model_configurations (
    id uuid PRIMARY KEY, playground_id uuid, model_key varchar(50),
    model_name varchar(255), embed_code text, max_evaluations int,
    created_at timestamp, UNIQUE (playground_id, model_key)
);
CREATE TABLE evaluation_counters (
    id uuid PRIMARY KEY, playground_id uuid, model_key varchar(50),
    current_count int DEFAULT 0, created_at timestamp, updated_at timestamp
);
CREATE TABLE questions (
    id uuid PRIMARY KEY, playground_id uuid, model_key varchar(50),
    question_text text NOT NULL, question_type question_type, options jsonb,
    order_index int, required boolean DEFAULT true, created_at timestamp
);
CREATE TABLE evaluations (
    id uuid PRIMARY KEY, playground_id uuid, user_id uuid, model_key varchar(50),
    question_id uuid, answer_text text, answer_value varchar(255), rating int,
    session_id uuid, created_at timestamp
);
INSERT INTO playgrounds VALUES
    (md5('p1')::uuid, 'Greetings', 'ab_testing', 'd', '<p>x<script>y</script></p>',
     md5('owner')::uuid, true, '{}', '2025-01-01', '2025-01-01'),
    (md5('p2')::uuid, 'Broken', 'tuning', NULL, NULL, md5('owner')::uuid, true,
     NULL, '2025-01-02', '2025-01-02');
INSERT INTO model_configurations
SELECT
    md5('m' || k)::uuid, md5('p1')::uuid, 'model_' || k, NULL,
    '<elevenlabs-convai agent-id="agent-' || k || '"></elevenlabs-convai>', 2,
    '2025-01-01'
FROM unnest(ARRAY['a', 'b']) AS k;
INSERT INTO model_configurations VALUES
    (md5('m2')::uuid, md5('p2')::uuid, 'model_a', 'X', '<script>x</script>', 5,
     '2025-01-01');
INSERT INTO evaluation_counters VALUES
    (md5('ca')::uuid, md5('p1')::uuid, 'model_a', 4, '2025-01-01', '2025-01-01'),
    (md5('cb')::uuid, md5('p1')::uuid, 'model_b', 1, '2025-01-01', '2025-01-01');
INSERT INTO questions VALUES
    (md5('q1')::uuid, md5('p1')::uuid, NULL, 'Tone?', 'select',
     '[{"label": "W", "value": "warm"}]', 0, true, '2025-01-01'),
    (md5('q2')::uuid, md5('p1')::uuid, 'model_a', 'Why?', 'input_string', NULL, 1,
     true, '2025-01-01');
INSERT INTO evaluations
SELECT
    md5('e1' || s)::uuid, md5('p1')::uuid, md5('t' || s % 2)::uuid,
    'model_' || CASE WHEN s = 4 THEN 'b' ELSE 'a' END, md5('q1')::uuid, NULL,
    CASE WHEN s = 5 THEN 'hot' ELSE 'warm' END, 4, md5('s' || s)::uuid,
    timestamp '2025-02-01' + s * interval '1 day'
FROM generate_series(1, 5) AS s;
INSERT INTO evaluations VALUES
    (md5('e2')::uuid, md5('p1')::uuid, md5('t1')::uuid, 'model_a', md5('q2')::uuid,
     'It let me finish.', NULL, NULL, md5('s1')::uuid, '2025-02-02'),
    (md5('e3')::uuid, md5('p1')::uuid, md5('t1')::uuid, 'model_a', md5('q2')::uuid,
     'Lost', NULL, NULL, NULL, '2025-02-02');
"""


@pytest.fixture
async def source(database: Database) -> str:
    connection = await asyncpg.connect(database.superuser)
    try:
        await connection.execute(TABLES)
    finally:
        await connection.close()
    return database.superuser


async def key(source: str) -> PlaygroundId:
    connection = await asyncpg.connect(source)
    try:
        return PlaygroundId(await connection.fetchval("SELECT md5('p1')::uuid"))
    finally:
        await connection.close()


class Importing:
    """An installation that imports."""

    def __init__(self, source: str) -> None:
        self.log = MemoryEventLog(clock=now, ids=new_id)
        self.handler = Handler(log=self.log, deciders=DECIDER_OF, guard=guard.check)
        self.source = source

    async def run(self) -> Report:
        return await import_playgrounds(
            self.source, handler=self.handler, meta=META, schema="elsewhere"
        )

    async def ledger(self) -> Any:  # noqa: ANN401 - a proof
        playground_id = await key(self.source)
        stream = await self.log.read_stream(
            f"{ledgers.decider.category}-{playground_id}"
        )
        facts: list[Any] = [recorded.event for recorded in stream.events]
        return proof(playground_id, facts)


async def test_everything_that_fits_is_imported_once(source: str) -> None:
    importing = Importing(source)
    first = await importing.run()
    assert (first.playgrounds, first.evaluations) == (2, 5)
    assert first.new_events > 0
    again = await importing.run()
    assert again.new_events == 0
    assert again.problems == first.problems
    found = await importing.ledger()
    assert found.ok, found.flaws
    assert {k: count.consumed for k, count in found.counts.items()} == {
        "model_a": 3,
        "model_b": 1,
    }


async def test_a_playground_stays_its_creator_s_and_is_made_harmless(
    source: str,
) -> None:
    importing = Importing(source)
    await importing.run()
    playground_id = await key(source)
    _, state = await importing.handler.state(
        playgrounds.decider, playground_id, org_id=META.org_id
    )
    assert state.created.support_text == "<p>x</p>"
    assert state.created.owner != "operator"
    assert not state.restricted
    assert state.models["model_a"].agent_id == "agent-a"
    assert state.models["model_a"].max_evaluations == 4


async def test_what_does_not_fit_is_told(source: str) -> None:
    report = await Importing(source).run()
    told = sorted(
        (problem.table, problem.imported, problem.problem.partition(" ")[0])
        for problem in report.problems
    )
    assert told == [
        ("evaluations", False, "1"),
        ("evaluations", False, "The"),
        ("model_configurations", True, "It"),
        ("playgrounds", False, "This"),
        ("playgrounds", True, "It"),
    ]
    assert report.refused == 3


async def test_a_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Importing("postgresql://nobody@127.0.0.1:1/none").run()
