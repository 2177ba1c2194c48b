"""The intake's loop: what it holds, what it lets go of, and when."""

import asyncio
from collections import Counter

import msgspec

from events.errors import Refused, TooMany, Unavailable
from events.message import Command, Meta
from services.problems import Defect
from tests.builders import new_id
from tests.services.intake.world import (
    CREATE,
    PATIENCE,
    World,
    acked,
    make_world,
    message,
)


def changes(count: int, persona_id: str) -> list[dict[str, object]]:
    kind = "testing.ChangePersonaDetails"
    return [
        {"type": kind, "persona_id": persona_id, "name": f"Ada {number}"}
        for number in range(count)
    ]


def names(world: World, persona_id: str) -> list[str]:
    return [
        msgspec.to_builtins(command)["name"]
        for command, _ in world.handler.handled
        if str(getattr(command, "persona_id", "")) == persona_id
    ]


async def test_a_message_is_acknowledged_after_its_reply() -> None:
    world = make_world()
    async with world.running():
        (delivery,) = world.inbox.put(message())
        await acked(delivery)

    ((to, reply),) = world.inbox.replies
    assert to == "answers"
    assert reply.correlation_id == "question 1"
    assert not world.letters.kept


async def test_messages_of_one_stream_are_handled_in_order_and_others_meanwhile() -> (
    None
):
    world = make_world()
    slow, quick = str(new_id()), str(new_id())
    waiting, free = asyncio.Event(), asyncio.Event()

    async def before(command: Command, _meta: Meta) -> None:
        if str(getattr(command, "persona_id", "")) == slow:
            waiting.set()
            await free.wait()

    async with world.running():
        created = [{**CREATE, "persona_id": each} for each in (slow, quick)]
        await acked(*world.inbox.put(*map(message, created)))
        world.handler.before = before
        held = world.inbox.put(*map(message, changes(20, slow)))
        passing = world.inbox.put(*map(message, changes(20, quick)))
        await waiting.wait()
        await acked(*passing)
        assert not any(each.acked.is_set() for each in held)
        free.set()
        await acked(*held)

    for persona_id in (slow, quick):
        assert names(world, persona_id)[1:] == [f"Ada {n}" for n in range(20)]


async def test_what_is_away_holds_messages_until_it_is_back_in_order() -> None:
    world = make_world()
    persona_id = str(new_id())
    tries: Counter[str] = Counter()

    async def before(_command: Command, meta: Meta) -> None:
        tries[str(meta.command_id)] += 1
        if tries[str(meta.command_id)] < 3:
            raise Unavailable

    async with world.running():
        create = message({**CREATE, "persona_id": persona_id})
        await acked(*world.inbox.put(create))
        world.handler.before = before
        await acked(*world.inbox.put(*map(message, changes(3, persona_id))))

    assert names(world, persona_id)[1:] == ["Ada 0", "Ada 1", "Ada 2"]
    assert set(tries.values()) == {3}
    assert not world.letters.kept


async def test_what_passes_a_rate_is_handled_later_and_answered_then() -> None:
    world = make_world()
    tries: list[Meta] = []

    async def before(_command: Command, meta: Meta) -> None:
        tries.append(meta)
        if len(tries) == 1:
            raise TooMany(retry_after=1)

    async with world.running(), asyncio.timeout(PATIENCE):
        world.handler.before = before
        await acked(*world.inbox.put(message()))
        assert not world.inbox.replies
        await world.letters.closed.wait()

    ((_, reply),) = world.inbox.replies
    assert msgspec.json.decode(reply.body)["status"] == "ok"
    assert tries[0].command_id == tries[1].command_id


async def test_a_defect_is_tried_again_then_answered_and_put_aside() -> None:
    world = make_world()

    async def before(_command: Command, _meta: Meta) -> None:
        raise ZeroDivisionError

    async with world.running():
        world.handler.before = before
        await acked(*world.inbox.put(message()))
        world.handler.before = None
        await acked(*world.inbox.put(message()))

    ((_, _, failure),) = world.letters.kept
    assert isinstance(failure, Defect)
    bad, good = [msgspec.json.decode(reply.body) for _, reply in world.inbox.replies]
    assert (bad["status"], good["status"]) == (500, "ok")


async def test_a_refusal_that_nobody_takes_is_put_aside() -> None:
    world = make_world()
    async with world.running():
        await acked(*world.inbox.put(message()))
        world.inbox.nobody = True
        other = {**CREATE, "name": "Bea"}
        unroutable, silent = message(other), message(other, reply_to=None)
        await acked(*world.inbox.put(unroutable, silent))

    assert [each for each, _, _ in world.letters.kept] == [unroutable, silent]
    assert all(isinstance(failure, Refused) for _, _, failure in world.letters.kept)


async def test_an_outcome_that_nobody_takes_is_no_letter() -> None:
    world = make_world()
    world.inbox.nobody = True
    async with world.running():
        await acked(*world.inbox.put(message()))
    assert not world.letters.kept


async def test_told_to_stop_it_finishes_what_runs_and_gives_back_the_rest() -> None:
    world = make_world()
    begun, free = asyncio.Event(), asyncio.Event()

    async def before(_command: Command, _meta: Meta) -> None:
        begun.set()
        await free.wait()

    async with world.running() as stop:
        world.handler.before = before
        (running,) = world.inbox.put(message())
        await begun.wait()
        stop.set()
        free.set()
        await acked(running)
        (late,) = world.inbox.put(message())
    assert world.inbox.closed == 1
    assert not late.acked.is_set()


async def test_what_does_not_finish_in_time_is_given_back() -> None:
    world = make_world()
    begun = asyncio.Event()

    async def before(_command: Command, _meta: Meta) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with world.running(grace=0.1):
        world.handler.before = before
        (running,) = world.inbox.put(message())
        await begun.wait()
    assert not running.acked.is_set()
    assert not world.inbox.replies
