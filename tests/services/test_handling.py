"""Handling: retries, conflicts, partners and batches, over the in-memory log."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import msgspec
import pytest

from events.errors import Conflict, Failure, Forbidden, Mismatch, Missing, Refused
from events.log import PAGE, Append, Stream, Verdict
from events.message import Command, Meta
from events.testing.references import ReferenceAdded
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from services.decider import Decider
from services.handling import Handler
from services.outcome import Outcome
from tests.builders import ORG, OTHER_ORG, entry, meta, write


LIMIT = 3


class Put(Command, frozen=True, kw_only=True, tag="test.Put"):
    box: UUID
    thing: str
    also_into: UUID | None = None


class Full(Refused):
    """The box is full."""


def decide(command: Put, state: frozenset[str], _meta: Meta) -> list[ReferenceAdded]:
    if command.thing in state:
        return []
    if len(state) == LIMIT:
        raise Full
    return [ReferenceAdded(target_id=command.box, by=command.thing)]


def evolve(state: frozenset[str], event: ReferenceAdded) -> frozenset[str]:
    return state | {event.by}


def also(command: Put, _state: frozenset[str], _meta: Meta) -> Sequence[Command]:
    if command.also_into is None:
        return ()
    return (Put(box=command.also_into, thing=command.thing),)


BOXES = Decider[Put, frozenset[str], ReferenceAdded](
    category="test.box",
    commands=(Put,),
    events=(ReferenceAdded,),
    initial=frozenset(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.box,
    also=also,
)


def allow(_command: Command, _meta: Meta) -> None:
    return None


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(clock=now, ids=new_id)


def handler_of(log: MemoryEventLog, *, deadline: float = 5.0) -> Handler:
    return Handler(log=log, deciders={Put: BOXES}, guard=allow, deadline=deadline)


@pytest.fixture
def handler(log: MemoryEventLog) -> Handler:
    return handler_of(log)


def put(thing: str, *, box: UUID, also_into: UUID | None = None) -> Put:
    return Put(box=box, thing=thing, also_into=also_into)


async def contents(handler: Handler, box: UUID) -> frozenset[str]:
    _, state = await handler.state(BOXES, box, org_id=ORG)
    assert isinstance(state, frozenset)
    return state


async def test_a_command_answers_where_its_events_are(handler: Handler) -> None:
    outcome = await handler.handle(put("pen", box=new_id()), meta())
    assert (outcome.status, outcome.version, outcome.events) == ("ok", 1, 1)
    assert outcome.receipt is not None


async def test_a_retried_command_gets_its_first_outcome(handler: Handler) -> None:
    command, envelope = put("pen", box=new_id()), meta()
    first = await handler.handle(command, envelope)
    again = await handler.handle(command, envelope)
    assert again == msgspec.structs.replace(first, status="duplicate")


async def test_a_retry_that_would_be_refused_by_now_gets_its_first_outcome(
    handler: Handler,
) -> None:
    box, envelope = new_id(), meta()
    first = await handler.handle(put("pen", box=box), envelope)
    for thing in ("cup", "key"):
        await handler.handle(put(thing, box=box), meta())
    again = await handler.handle(put("pen", box=box), envelope)
    assert again.position == first.position
    with pytest.raises(Full):
        await handler.handle(put("hat", box=box), meta())


async def test_a_command_that_changed_nothing_changes_nothing_later(
    handler: Handler,
) -> None:
    box, idle = new_id(), meta()
    await handler.handle(put("pen", box=box), meta())
    assert (await handler.handle(put("pen", box=box), idle)).events == 0
    assert (await handler.handle(put("pen", box=box), idle)).status == "duplicate"


async def test_an_id_with_another_body_is_a_mismatch(handler: Handler) -> None:
    box, envelope = new_id(), meta()
    await handler.handle(put("pen", box=box), envelope)
    with pytest.raises(Mismatch):
        await handler.handle(put("cup", box=box), envelope)


async def test_an_outdated_expected_version_is_answered(handler: Handler) -> None:
    box = new_id()
    await handler.handle(put("pen", box=box), meta())
    seen = msgspec.structs.replace(meta(), expected_version=0)
    with pytest.raises(Conflict) as caught:
        await handler.handle(put("cup", box=box), seen)
    assert caught.value.actual == 1


async def test_an_expected_version_that_memory_has_not_seen_is_found(
    log: MemoryEventLog,
) -> None:
    box = new_id()
    here, elsewhere = handler_of(log), handler_of(log)
    await here.handle(put("pen", box=box), meta())
    await elsewhere.handle(put("cup", box=box), meta())
    seen = msgspec.structs.replace(meta(), expected_version=2)
    assert (await here.handle(put("key", box=box), seen)).version == 3


async def test_a_refusal_never_rests_on_an_old_state(log: MemoryEventLog) -> None:
    box = new_id()
    here, elsewhere = handler_of(log), handler_of(log)
    await here.handle(put("pen", box=box), meta())
    for thing in ("cup", "key"):
        await elsewhere.handle(put(thing, box=box), meta())
    with pytest.raises(Full):
        await here.handle(put("hat", box=box), meta())


async def test_handlers_that_race_for_one_stream_all_succeed(
    log: MemoryEventLog,
) -> None:
    boxes = [new_id() for _ in range(3)]
    handlers = [handler_of(log) for _ in range(4)]
    outcomes = await asyncio.gather(
        *(
            handlers[number % 4].handle(
                put(f"thing {number}", box=boxes[number % 3]), meta()
            )
            for number in range(9)
        )
    )
    assert all(outcome.status == "ok" for outcome in outcomes)
    for box in boxes:
        assert len(await contents(handlers[0], box)) == LIMIT


class ReadingLog(MemoryEventLog):
    """Notes after which version streams are read."""

    def __init__(self) -> None:
        super().__init__(clock=now, ids=new_id)
        self.after: list[int] = []
        self.limits: list[int | None] = []

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        self.after.append(after)
        self.limits.append(limit)
        return await super().read_stream(stream_id, after=after, upto=upto, limit=limit)


async def test_what_another_process_appended_is_all_that_is_read() -> None:
    log, box = ReadingLog(), new_id()
    ours, theirs = handler_of(log), handler_of(log)
    await ours.handle(put("pen", box=box), meta())
    await theirs.handle(put("cup", box=box), meta())
    log.after.clear()
    outcome = await ours.handle(put("key", box=box), meta())
    assert (outcome.version, log.after) == (3, [1])
    with pytest.raises(Full):
        await theirs.handle(put("hat", box=box), meta())
    assert log.after == [1, 2]


async def test_a_long_stream_is_never_held_whole() -> None:
    log, box = ReadingLog(), new_id()
    things = [str(number) for number in range(2 * PAGE + 1)]
    facts = [ReferenceAdded(target_id=box, by=thing) for thing in things]
    await log.append(entry(write(f"test.box-{box}", *facts)))
    handler = handler_of(log)
    version, state = await handler.state(BOXES, box, org_id=ORG)
    assert (version, state) == (len(things), frozenset(things))
    outcome = await handler.handle(put(things[0], box=box), meta())
    assert outcome.version == len(things)
    assert log.after == [0, PAGE, 2 * PAGE] * 2
    assert set(log.limits) == {PAGE}


async def test_partners_commit_together(handler: Handler) -> None:
    box, other = new_id(), new_id()
    await handler.handle(put("pen", box=box, also_into=other), meta())
    assert await contents(handler, box) == await contents(handler, other) == {"pen"}


async def test_a_partner_that_refuses_stops_everything(handler: Handler) -> None:
    box, other = new_id(), new_id()
    for thing in ("pen", "cup", "key"):
        await handler.handle(put(thing, box=other), meta())
    with pytest.raises(Full):
        await handler.handle(put("hat", box=box, also_into=other), meta())
    with pytest.raises(Missing):
        await contents(handler, box)


async def test_another_organisation_finds_nothing(handler: Handler) -> None:
    box = new_id()
    await handler.handle(put("pen", box=box), meta())
    with pytest.raises(Missing):
        await handler.handle(put("cup", box=box), meta(org_id=OTHER_ORG))


async def test_the_guard_comes_first(log: MemoryEventLog) -> None:
    def refuse(_command: Command, _meta: Meta) -> None:
        raise Forbidden

    handler = Handler(log=log, deciders={Put: BOXES}, guard=refuse)
    with pytest.raises(Forbidden):
        await handler.handle(put("pen", box=new_id()), meta())
    (answer,) = await handler.handle_bulk([(put("pen", box=new_id()), meta())])
    assert isinstance(answer, Forbidden)


async def test_a_batch_is_decided_in_order_with_a_verdict_each(
    handler: Handler,
) -> None:
    box = new_id()
    things = ["pen", "cup", "pen", "key", "hat"]
    answers = await handler.handle_bulk(
        [(put(thing, box=box), meta()) for thing in things]
    )
    assert [_short(answer) for answer in answers] == [1, 1, 0, 1, "Full"]
    assert await contents(handler, box) == {"pen", "cup", "key"}


async def test_a_batch_sent_twice_changes_nothing(handler: Handler) -> None:
    requests = [(put(thing, box=new_id()), meta()) for thing in ("pen", "cup")]
    first = await handler.handle_bulk(requests)
    again = await handler.handle_bulk(requests)
    assert [answer.status for answer in again if isinstance(answer, Outcome)] == [
        "duplicate",
        "duplicate",
    ]
    assert [_short(answer) for answer in first] == [1, 1]


async def test_an_id_twice_in_a_batch_takes_effect_once(handler: Handler) -> None:
    box, envelope = new_id(), meta()
    answers = await handler.handle_bulk(
        [
            (put("pen", box=box), envelope),
            (put("pen", box=box), envelope),
            (put("cup", box=box), envelope),
        ]
    )
    assert [
        answer.status if isinstance(answer, Outcome) else type(answer).__name__
        for answer in answers
    ] == ["ok", "duplicate", "Mismatch"]


async def test_a_field_that_is_not_given_does_not_count_in_the_body() -> None:
    box = new_id()
    assert msgspec.json.encode(put("pen", box=box)) == msgspec.json.encode(
        {"type": "test.Put", "box": box, "thing": "pen"}
    )


class Interrupted(MemoryEventLog):
    """A log in which somebody else writes just before the first bulk append."""

    intruder: tuple[Handler, UUID] | None = None

    async def append_bulk(self, entries: Sequence[Append]) -> Sequence[Verdict]:
        if self.intruder is not None:
            (handler, box), self.intruder = self.intruder, None
            await handler.handle(put("intruder", box=box), meta())
        return await super().append_bulk(entries)


async def test_a_batch_that_lost_a_race_is_decided_again() -> None:
    log = Interrupted(clock=now, ids=new_id)
    handler, box = handler_of(log), new_id()
    log.intruder = (handler_of(log), box)
    answers = await handler.handle_bulk([(put("pen", box=box), meta())])
    assert [_short(answer) for answer in answers] == [1]
    assert await contents(handler, box) == {"intruder", "pen"}


def _short(answer: Outcome | Failure) -> int | str:
    return answer.events if isinstance(answer, Outcome) else type(answer).__name__
