"""Statistics and exports of a playground, from rows as the database would give them."""

import asyncio
import csv
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import aiohttp
import msgspec
import pytest

from events.errors import Unavailable
from infra.clock import new_id
from services.http.reading import Row
from services.http.turns import Turns
from services.identity import Identity
from services.playgrounds.statistics.records import Evaluations, Options
from services.problems import Busy
from tests.services.http.world import NoCalculations, World, is_problem, open_world


PLAYGROUND = str(new_id())
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def session(number: int, tester: str, model: str, **answer: object) -> dict[str, Any]:
    answers = [{"question_id": "q1", **answer}] if answer else []
    return {
        "id": f"s{number}",
        "tester": tester,
        "model_key": model,
        "status": "submitted",
        "ordinal": 1,
        "revision": 1,
        "shown": True,
        "seconds": 30.0,
        "reason": None,
        "previous": None,
        "submitted_at": AT,
        "answers": msgspec.json.encode(answers).decode(),
    }


class Tables:
    """One playground, and its sessions in pages of two whatever is asked."""

    def __init__(
        self, *sessions: dict[str, Any], known: bool = True, breaks: bool = False
    ) -> None:
        self._sessions = sessions
        self._known = known
        self._breaks = breaks

    @asynccontextmanager
    async def snapshot(self, _identity: Identity, /) -> AsyncIterator["Tables"]:
        yield self

    async def read(self, _sql: str, _args: Sequence[object], /) -> Sequence[Row]:
        models = [{"key": "a", "limit": 9}, {"key": "b", "limit": 9}]
        question = {"id": "q1", "text": "Good?", "kind": "rating", "options": []}
        row = {
            "id": PLAYGROUND,
            "position": 41,
            "models": msgspec.json.encode(models).decode(),
            "questions": msgspec.json.encode([question]).decode(),
        }
        return [row] if self._known else []

    async def pages(
        self, _sql: str, _args: Sequence[object], _rows: int, /
    ) -> AsyncIterator[Sequence[Row]]:
        for at in range(0, len(self._sessions), 2):
            yield self._sessions[at : at + 2]
        if self._breaks:
            raise Unavailable("host db.internal went away")


def path(what: str, playground_id: str = PLAYGROUND) -> str:
    return f"/v1/playgrounds/{playground_id}/{what}"


class Described(NoCalculations):
    """Tells what it was asked."""

    async def statistics(self, data: Evaluations, options: Options, /) -> bytes:
        told = [each.id for each in data.sessions]
        return msgspec.json.encode([data.position, told, options])


async def test_statistics_are_calculated_from_every_session_of_one_moment() -> None:
    tables = Tables(*(session(at, f"t{at}", "a", rating=4) for at in range(5)))
    async with open_world(snapshots=tables, calculate=Described()) as world:
        answer = await world.get(path("statistics?confidence=0.9&draws=500&seed=7"))
    position, told, options = answer.json
    assert answer.status == 200
    assert answer.headers["Rehearsal-Position"] == "41"
    assert (position, told) == (41, ["s0", "s1", "s2", "s3", "s4"])
    assert (options["confidence"], options["draws"], options["seed"]) == (0.9, 500, 7)


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("confidence=1", "query.confidence"),
        ("confidence=nan", "query.confidence"),
        ("confidence=0.1", "query.confidence"),
        ("confidence=.99999", "query.confidence"),
        ("draws=3", "query.draws"),
        ("draws=1e3", "query.draws"),
        ("draws=100000000000000000000", "query.draws"),
        ("seed=-1", "query.seed"),
        ("ties=both", "query.ties"),
        ("sample=1", "query"),
    ],
)
async def test_options_beyond_their_limits_are_refused(query: str, where: str) -> None:
    async with open_world(snapshots=Tables(), calculate=Described()) as world:
        assert is_problem(await world.get(path(f"statistics?{query}")), 400, where)


async def test_what_is_no_playground_of_the_callers_is_missing() -> None:
    async with open_world(
        snapshots=Tables(known=False), calculate=Described()
    ) as world:
        for what in ("statistics", "exports/long"):
            assert is_problem(await world.get(path(what)), 404)
            malformed = await world.get(path(what, "nobody"))
            assert is_problem(malformed, 400, "path.id")
        assert is_problem(await world.get(path("exports/tall")), 404, "path.shape")


async def exported(world: World, shape: str) -> list[dict[str, str]]:
    answer = await world.get(path(f"exports/{shape}"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(StringIO(answer.body.decode(), newline="")))


async def test_an_export_keeps_each_testers_sessions_together() -> None:
    tables = Tables(
        session(1, "ada", "a", rating=2),
        session(2, "ben", "a", rating=5),
        session(3, "ben", "b", rating=3),
        session(4, "cem", "b", rating=3),
        session(5, "cem", "a", rating=4),
    )
    async with open_world(snapshots=tables) as world:
        battles = await exported(world, "battles")
        assert [(row["tester"], row["winner"]) for row in battles] == [
            ("ben", "model_a"),
            ("cem", "model_b"),
        ]
        assert len(await exported(world, "long")) == 5
        assert [row["q1"] for row in await exported(world, "wide")] == list("25334")
        (asked,) = await exported(world, "codebook")
        assert asked["question_text"] == "Good?"


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", 'a","=1'],
)
async def test_text_that_a_spreadsheet_would_run_gets_a_quote(text: str) -> None:
    async with open_world(snapshots=Tables(session(1, "t", "a", text=text))) as world:
        (row,) = await exported(world, "long")
    harmless = text.startswith("a")
    assert row["answer_text"] == (text if harmless else f"'{text}")


async def test_lines_of_json_hold_the_text_as_it_is() -> None:
    tables = Tables(session(1, "t", "a", text="=1+1", rating=5))
    async with open_world(snapshots=tables) as world:
        answer = await world.get(path("exports/long"), Accept="application/x-ndjson")
    (line,) = answer.body.splitlines()
    row = msgspec.json.decode(line)
    assert (row["answer_text"], row["rating"], row["position"]) == ("=1+1", 5, 41)
    assert answer.headers["Content-Disposition"].endswith('-long.ndjson"')


async def test_an_export_that_breaks_is_seen_to_break() -> None:
    tables = Tables(*(session(at, f"t{at}", "a") for at in range(4)), breaks=True)
    async with open_world(snapshots=tables) as world:
        with pytest.raises(aiohttp.ClientPayloadError):
            await world.get(path("exports/wide"))


async def test_those_beyond_the_queue_are_told_to_come_back() -> None:
    turns = Turns(1)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def stay() -> None:
        async with turns.turn():
            entered.set()
            await go_on.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(stay())
        await entered.wait()
        with pytest.raises(Busy):
            async with turns.turn():
                pass
        go_on.set()
    async with turns.turn():
        pass
