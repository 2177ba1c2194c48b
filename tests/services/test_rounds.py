"""The short way: who takes it, who leaves it, and that nothing is left behind."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Conflict, Forbidden, Missing, Unavailable
from events.log import Append, Told, Verdict
from events.message import Command, Meta
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from services.handling import Handler
from tests.builders import OTHER_ORG, meta
from tests.services.test_handling import BOXES, Full, Put, allow, contents, put


class WatchedLog(MemoryEventLog):
    """A log that counts which way commands come, and can lose its answers."""

    def __init__(self) -> None:
        super().__init__(clock=now, ids=new_id)
        self.short = 0
        self.long = 0
        self.answers_are_lost = False
        self.sent = asyncio.Event()

    def send(self, asked: Sequence[tuple[Append, Told]]) -> None:
        self.short += len(asked)
        self.sent.set()
        super().send([(entry, self._listener(told)) for entry, told in asked])

    async def append(self, entry: Append) -> Verdict:
        self.long += 1
        return await super().append(entry)

    def ways(self) -> tuple[int, int]:
        """Return how many commands went the short and the long way since last asked."""
        short, both = self.short, self.long
        self.short = self.long = 0
        return short, both - short  # what is sent is appended

    def _listener(self, told: Told) -> Told:
        def listen(answer: Verdict | Exception) -> None:
            told(Unavailable("lost") if self.answers_are_lost else answer)

        return listen


@pytest.fixture
def log() -> WatchedLog:
    return WatchedLog()


def handler_of(log: WatchedLog) -> Handler:
    return Handler(log=log, deciders={Put: BOXES}, guard=allow)


@pytest.fixture
def handler(log: WatchedLog) -> Handler:
    return handler_of(log)


async def remembered(handler: Handler, log: WatchedLog, count: int) -> list[UUID]:
    """Return boxes that the handler remembers, with a pen in each."""
    boxes = [new_id() for _ in range(count)]
    await asyncio.gather(
        *(handler.handle(put("pen", box=box), meta()) for box in boxes)
    )
    log.ways()
    return boxes


async def test_commands_of_remembered_streams_go_the_short_way_together(
    handler: Handler, log: WatchedLog
) -> None:
    boxes = await remembered(handler, log, 5)

    outcomes = await asyncio.gather(
        *(handler.handle(put("cup", box=box), meta()) for box in boxes)
    )

    assert log.ways() == (5, 0)
    assert [(each.status, each.version) for each in outcomes] == [("ok", 2)] * 5
    assert sorted(each.position for each in outcomes) == [6, 7, 8, 9, 10]
    assert await contents(handler, boxes[0]) == {"pen", "cup"}


async def test_what_was_learned_on_the_short_way_is_decided_on(
    handler: Handler, log: WatchedLog
) -> None:
    (box,) = await remembered(handler, log, 1)
    for thing in ("cup", "key"):
        await handler.handle(put(thing, box=box), meta())
    assert log.ways() == (2, 0)
    with pytest.raises(Full):
        await handler.handle(put("hat", box=box), meta())


async def test_what_does_not_fit_goes_the_long_way(
    handler: Handler, log: WatchedLog
) -> None:
    one, two, three = await remembered(handler, log, 3)
    new = new_id()

    outcomes = await asyncio.gather(
        handler.handle(put("cup", box=new), meta()),
        handler.handle(put("cup", box=one), meta()),
        handler.handle(put("key", box=one), meta()),
        handler.handle(put("cup", box=two, also_into=three), meta()),
    )

    assert [each.events for each in outcomes] == [1, 1, 1, 2]
    assert log.ways() == (1, 3)
    assert await contents(handler, one) == {"pen", "cup", "key"}
    assert await contents(handler, three) == {"pen", "cup"}


async def test_a_retry_is_answered_on_the_short_way(
    handler: Handler, log: WatchedLog
) -> None:
    (box,) = await remembered(handler, log, 1)
    command, envelope = put("cup", box=box), meta()
    first = await handler.handle(command, envelope)
    again = await handler.handle(command, envelope)
    assert again == replace(first, status="duplicate")


async def test_a_conflict_is_decided_again(log: WatchedLog) -> None:
    here, elsewhere = handler_of(log), handler_of(log)
    (box,) = await remembered(here, log, 1)
    await elsewhere.handle(put("cup", box=box), meta())

    outcome = await here.handle(put("key", box=box), meta())
    assert outcome.version == 3

    await elsewhere.handle(put("cup", box=box), meta())
    seen = replace(meta(), expected_version=2)
    with pytest.raises(Conflict):
        await here.handle(put("key", box=box), seen)


async def test_who_gives_up_waiting_leaves_the_stream_free_and_known(
    handler: Handler, log: WatchedLog
) -> None:
    (box,) = await remembered(handler, log, 1)
    log.sent.clear()
    waiting = asyncio.create_task(handler.handle(put("cup", box=box), meta()))
    await log.sent.wait()
    waiting.cancel()
    await asyncio.wait([waiting])

    outcome = await handler.handle(put("key", box=box), meta())

    assert outcome.version == 3
    assert await contents(handler, box) == {"pen", "cup", "key"}


async def test_who_gives_up_before_a_round_asks_for_nothing(
    handler: Handler, log: WatchedLog
) -> None:
    (box,) = await remembered(handler, log, 1)
    waiting = asyncio.ensure_future(handler.handle(put("cup", box=box), meta()))
    asyncio.get_running_loop().call_soon(waiting.cancel)
    await asyncio.wait([waiting])
    await handler.handle(put("key", box=box), meta())
    assert await contents(handler, box) == {"pen", "key"}


async def test_an_answer_that_is_lost_is_looked_up(
    handler: Handler, log: WatchedLog
) -> None:
    (box,) = await remembered(handler, log, 1)
    log.answers_are_lost = True
    outcome = await handler.handle(put("cup", box=box), meta())
    assert (outcome.status, outcome.version) == ("duplicate", 2)
    log.answers_are_lost = False
    assert (await handler.handle(put("key", box=box), meta())).version == 3


@pytest.mark.parametrize("error", [Unavailable("closed"), ZeroDivisionError()])
async def test_a_log_that_takes_nothing_keeps_no_stream_locked(
    handler: Handler,
    log: WatchedLog,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    (box,) = await remembered(handler, log, 1)

    def refuse(_asked: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(log, "send", refuse)
        assert (await handler.handle(put("cup", box=box), meta())).version == 2
    assert (await handler.handle(put("key", box=box), meta())).version == 3


async def test_a_defect_harms_its_own_command_alone(log: WatchedLog) -> None:
    def trip(command: Command, _meta: Meta) -> None:
        if isinstance(command, Put) and command.thing == "trap":
            raise ZeroDivisionError

    handler = Handler(log=log, deciders={Put: BOXES}, guard=trip)
    boxes = await remembered(handler, log, 3)

    results = await asyncio.gather(
        handler.handle(put("cup", box=boxes[0]), meta()),
        handler.handle(put("trap", box=boxes[1]), meta()),
        handler.handle(put("cup", box=boxes[2]), meta()),
        return_exceptions=True,
    )

    assert isinstance(results[1], ZeroDivisionError)
    assert [getattr(results[n], "version", None) for n in (0, 2)] == [2, 2]


async def test_nobody_goes_past_the_guard_or_into_another_organisation(
    log: WatchedLog,
) -> None:
    def forbid(_command: Command, envelope: Meta) -> None:
        if envelope.actor == "user:mallory":
            raise Forbidden

    handler = Handler(log=log, deciders={Put: BOXES}, guard=forbid)
    (box,) = await remembered(handler, log, 1)
    with pytest.raises(Forbidden):
        await handler.handle(put("cup", box=box), replace(meta(), actor="user:mallory"))
    with pytest.raises(Missing):
        await handler.handle(put("cup", box=box), meta(org_id=OTHER_ORG))
    assert log.ways() == (0, 0)
