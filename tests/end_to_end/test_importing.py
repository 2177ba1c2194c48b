"""The recorded sample through all of it: its scores come out of the read tables."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from math import comb
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from events.log import EventLog, Stream
from infra.operations.importing import Summary, import_tau_bench
from infra.operations.scoring import scored
from infra.sample import recorded
from infra.wiring import Core
from services import guard
from services.handling import Handler
from services.routing import DECIDER_OF
from tests.end_to_end.stack import ORG, OTHER_ORG, Stack


TRIALS = """
SELECT
  unit_test_id,
  count(*) AS trials,
  count(*) FILTER (WHERE outcome = 'passed') AS passed
FROM trials
GROUP BY 1
"""
TOTALS = """
SELECT
  (SELECT count(*) FROM simulation_unit_test_set_runs) AS runs,
  (SELECT count(*) FROM simulation_unit_tests) AS tasks,
  (SELECT count(*) FROM simulation_personas) AS personas,
  (SELECT count(*) FROM trials) AS trials,
  (SELECT count(*) FROM trial_entries) AS entries
"""
SAMPLE = {"runs": 1, "tasks": 8, "personas": 7, "trials": 32, "entries": 428}
PASS_HAT = [19 / 32, 20 / 48, 10 / 32, 2 / 8]


async def load(stack: Stack, org: str, parts: Core | None = None) -> Summary:
    """Import the sample in a process of the stack, the one of the API unless told."""
    parts = parts or stack.api
    return await import_tau_bench(
        recorded(), handler=parts.handler, blobs=parts.blobs, meta=stack.meta(org)
    )


@pytest.fixture(scope="module")
async def imported(stack: Stack) -> Summary:
    summary = await load(stack, ORG)
    await stack.caught_up()
    return summary


async def test_the_scores_are_those_of_the_read_tables(
    stack: Stack, imported: Summary
) -> None:
    assert await stack.sql(TOTALS) == [SAMPLE]
    rows = await stack.sql(TRIALS)
    counts = [(row["trials"], row["passed"]) for row in rows]
    by_hand = [
        sum(comb(passed, k) / comb(trials, k) for trials, passed in counts) / 8
        for k in range(1, 5)
    ]
    assert by_hand == pytest.approx(PASS_HAT)
    found = await scored(stack.reader, stack.identity(), imported)
    assert [each.value for each in found.pass_hat_k.values()] == by_hand
    assert found == imported


async def test_the_run_is_read_over_http(stack: Stack, imported: Summary) -> None:
    async with stack.client() as client:
        run = await client.row("testing.simulation_unit_test_set_runs", imported.run_id)
        (artifact,) = run["artifacts_generated"]
        assert len(await client.blob(artifact["sha256"])) == artifact["size"]
    counts = [run[f"{name}_count"] for name in ("trial", "passed", "failed", "errored")]
    assert (run["status"], counts) == ("completed", [32, 19, 13, 0])
    assert sum(each["passed"] for each in run["unit_test_run_results"]) == 19
    table = "/v1/testing/simulation_unit_test_set_runs"
    status, body = await stack.request("GET", f"{table}/{imported.run_id}/reliability")
    assert status == 200
    found = msgspec.json.decode(body)["pass_hat_k"]
    assert [found[k]["value"] for k in "1234"] == pytest.approx(PASS_HAT)


async def test_importing_twice_changes_nothing(stack: Stack, imported: Summary) -> None:
    entries = "SELECT * FROM trial_entries ORDER BY trial_id, seq"
    before, rows = await stack.events(), await stack.sql(entries)
    again = await load(stack, ORG, stack.project)
    assert again == replace(imported, result="nothing new", new_events=0)
    assert await stack.events() == before
    await stack.caught_up()
    assert await stack.sql(entries) == rows


async def test_importing_at_the_same_time_imports_once(stack: Stack) -> None:
    summaries = await asyncio.gather(
        *(
            load(stack, OTHER_ORG, parts)
            for parts in (stack.api, stack.project, stack.api)
        )
    )
    assert len({summary.run_id for summary in summaries}) == 1
    events = [each for each in await stack.events() if each.org_id == OTHER_ORG]
    assert sum(summary.new_events for summary in summaries) == len(events)
    await stack.caught_up()
    assert await stack.sql(TOTALS, org=OTHER_ORG) == [SAMPLE]
    streams = [(each.stream_id, each.version) for each in events]
    assert len(set(streams)) == len(streams)


class Overtaken:
    """A log that lets something happen once the first stream of a run was read."""

    def __init__(
        self, log: EventLog, meanwhile: Callable[[], Coroutine[None, None, object]]
    ) -> None:
        self._log = log
        self._meanwhile = [meanwhile]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all else is the log's
        return getattr(self._log, name)

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        found = await self._log.read_stream(
            stream_id, after=after, upto=upto, limit=limit
        )
        if stream_id.startswith("testing.set_run-") and self._meanwhile:
            await self._meanwhile.pop()()
        return found


async def test_an_import_that_is_overtaken_finds_all_done(stack: Stack) -> None:
    org = "overtaken"
    log = Overtaken(stack.api.log, lambda: load(stack, org, stack.project))
    handler = Handler(log=cast("EventLog", log), deciders=DECIDER_OF, guard=guard.check)
    summary = await load(stack, org, dataclasses.replace(stack.api, handler=handler))
    assert summary.result == "nothing new"
    await stack.caught_up()
    assert await stack.sql(TOTALS, org=org) == [SAMPLE]


async def test_organisations_import_the_same_file_apart(
    stack: Stack, imported: Summary
) -> None:
    other = await load(stack, "archive")
    assert other.run_id != imported.run_id
    assert other.new_events == imported.new_events
    await stack.caught_up()
    assert await stack.sql(TOTALS, org="archive") == [SAMPLE]
    assert await stack.sql(TOTALS) == [SAMPLE]
