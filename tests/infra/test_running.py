"""Waiting for a run to end."""

import asyncio

import pytest

from events.errors import Missing, Unavailable
from infra.commands.runs import exit_code
from infra.operations.running import Progress, Verdicts, completed
from services.testing.set_runs import CancelSetRun
from tests.services.work.floor import Floor
from tests.services.work.library import A_LIVE_RUN, RUN, library


async def told(floor: Floor, doing: asyncio.Task[None]) -> tuple[Verdicts, Progress]:
    """Return what came out of the run, and the last progress that was told."""
    heard: list[Progress] = []
    try:
        found = await completed(floor.log, RUN, doing, tell=heard.append)
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    return found, heard[-1]


async def rest() -> None:
    await asyncio.Event().wait()


async def test_a_completed_run_tells_its_verdicts_in_order() -> None:
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)

    async def work() -> None:
        await floor.settle()
        await rest()

    found, progress = await told(floor, asyncio.create_task(work()))
    assert (found.status, found.trials) == ("completed", 3)
    assert [verdict.name for verdict in found.verdicts] == [
        "Test 0",
        "Test 1",
        "Test 2",
    ]
    assert progress == Progress(counted=3, trials=3)


async def test_a_run_that_ended_early_is_told_at_once() -> None:
    floor = Floor()
    await floor.ask(
        *library(), A_LIVE_RUN, CancelSetRun(run_id=RUN, reason="Wrong set")
    )
    found, progress = await told(floor, asyncio.create_task(rest()))
    assert (found.status, found.verdicts) == ("cancelled", [])
    assert progress == Progress(counted=0, trials=None)


async def test_who_waits_hears_that_the_work_broke_off() -> None:
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)

    async def fail() -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        await told(floor, asyncio.create_task(fail()))


async def test_there_must_be_a_run_to_wait_for() -> None:
    with pytest.raises(Missing):
        await told(Floor(), asyncio.create_task(rest()))


@pytest.mark.parametrize(
    ("status", "failed", "inconclusive", "errored", "code"),
    [
        ("completed", 0, 0, 0, 0),
        ("completed", 1, 1, 1, 1),
        ("completed", 0, 1, 0, 2),
        ("completed", 0, 0, 1, 2),
        ("cancelled", 0, 0, 0, 2),
    ],
)
def test_the_gate_tells_failures_from_what_was_not_judged(
    status: str, failed: int, inconclusive: int, errored: int, code: int
) -> None:
    found = Verdicts(
        run_id=RUN,
        status=status,
        seed=7,
        trials=3,
        passed=1,
        failed=failed,
        inconclusive=inconclusive,
        errored=errored,
        position=9,
        verdicts=[],
    )
    assert exit_code(found) == code
