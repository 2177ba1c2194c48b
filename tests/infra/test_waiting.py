"""Those who wait for long say so, and for what."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from events.errors import Unavailable
from infra.operations import waiting
from infra.operations.waiting import Patience


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK", 0)


@pytest.fixture
async def doing() -> AsyncIterator[asyncio.Task[None]]:
    async def rest() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(rest())
    yield task
    task.cancel()


async def test_a_look_that_shows_the_same_for_long_is_told(
    doing: asyncio.Task[None],
) -> None:
    patience = Patience(doing, say=0)
    with capture_logs() as logs:
        await patience.wait(run="1", status="paused", ended=0)
        assert logs == []
        await patience.wait(run="1", status="paused", ended=0)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("still_waiting", "warning")
    assert (line["run"], line["status"], line["ended"]) == ("1", "paused", 0)


async def test_what_changes_is_waited_for_in_silence(
    doing: asyncio.Task[None],
) -> None:
    patience = Patience(doing, say=0)
    with capture_logs() as logs:
        for ended in range(3):
            await patience.wait(ended=ended)
    assert logs == []


async def test_who_does_the_work_and_fails_ends_the_wait() -> None:
    async def fail() -> None:
        raise Unavailable

    patience = Patience(asyncio.create_task(fail()))
    with pytest.raises(Unavailable):
        await patience.wait()
