"""How what runs in a process ends, once it was told to stop."""

import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from events.errors import Unavailable
from infra import stopping
from infra.stopping import ended


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SLOW", 0.01)
    monkeypatch.setattr(stopping, "LONGEST", 0.02)


async def rest() -> None:
    await asyncio.Event().wait()


async def test_what_ends_says_nothing() -> None:
    with capture_logs() as logs:
        await ended(asyncio.create_task(asyncio.sleep(0)))
    assert logs == []


async def test_what_a_task_raises_is_raised() -> None:
    async def fail() -> None:
        raise Unavailable

    with pytest.raises(Unavailable):
        await ended(asyncio.create_task(fail()))


async def test_what_does_not_end_is_told_by_name_and_cancelled() -> None:
    task = asyncio.create_task(rest(), name="work")
    with capture_logs() as logs:
        await ended(task)
    assert task.cancelled()
    said = [line["event"] for line in logs]
    assert said == ["still_stopping", "still_stopping", "stopped_by_force"]
    assert "work" in logs[0]["waits_for"]


async def test_what_heeds_no_cancel_is_left_behind() -> None:
    let_go = asyncio.Event()

    async def deaf() -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    task = asyncio.create_task(deaf())
    with capture_logs() as logs:
        await ended(task)
    assert logs[-1]["event"] == "stopped_by_force"
    let_go.set()
    await task


async def test_who_waits_no_more_cancels_it() -> None:
    task = asyncio.create_task(rest())
    waiting = asyncio.create_task(ended(task))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert task.cancelled()
