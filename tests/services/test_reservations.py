"""Reservations: one holder for each key, also where many ask at once."""

import asyncio

import pytest
from msgspec.structs import replace

from events.message import Meta
from events.reservations import KeyReleased, KeyReserved
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from services import guard, reservations
from services.handling import Handler
from services.outcome import Outcome
from services.reservations import ReleaseKey, ReserveKey, Taken
from services.routing import DECIDER_OF
from services.testing.set_runs import CancelSetRun, RunUnfinished, StartSetRun
from tests import builders
from tests.builders import ORG
from tests.given import given
from tests.services.testing.examples import DESK_WITH_SET, SET, a_run, a_spec


class NameTaken(Taken):
    """Somebody has this name."""


HERS = ReserveKey(
    org_id="acme",
    scope="unfinished-run",
    key=("user:ada", "7"),
    holder="set_run:1",
    path="$.set_id",
)
HIS = replace(HERS, holder="set_run:2", path="$.other_id", refusal=NameTaken)
KEY = HERS.reservation_id
RESERVED = KeyReserved(reservation_id=KEY, scope="unfinished-run", holder="set_run:1")
RELEASED = KeyReleased(reservation_id=KEY, holder="set_run:1")
RELEASE = ReleaseKey(reservation_id=KEY, holder="set_run:1")
META = replace(builders.meta(), roles=frozenset({"user"}))


def test_a_key_is_reserved_once() -> None:
    given().when(HERS).then(RESERVED).when(HERS).then()


def test_a_key_that_another_holds_is_taken() -> None:
    given(HERS).when(replace(HERS, holder="set_run:2")).then_refused(
        Taken, path="$.set_id", saying="Another holds this key. It is set_run:1."
    )


def test_a_refusal_is_the_asker_s_own() -> None:
    given(HERS).when(HIS).then_refused(
        NameTaken, path="$.other_id", saying="Somebody has this name. It is set_run:1."
    )


def test_a_key_is_released_once_and_then_free() -> None:
    free = given(HERS).when(RELEASE).then(RELEASED)
    free.when(RELEASE).then()
    assert free.when(HIS).failure is None


def test_what_another_holds_is_not_released() -> None:
    given().when(RELEASE).then()
    given(HERS).when(replace(RELEASE, holder="set_run:2")).then().when(
        HIS
    ).then_refused(NameTaken)


@pytest.mark.parametrize(
    "other",
    [
        replace(HERS, org_id="umbrella"),
        replace(HERS, key=("user:ada", "8")),
        replace(HERS, key=("user:ada7",)),
        replace(HERS, key=("user:", "ada7")),
    ],
)
def test_other_keys_are_free(other: ReserveKey) -> None:
    assert other.reservation_id != KEY
    assert given(HERS).when(replace(other, holder="set_run:2")).failure is None


def test_a_reservation_is_found_again_for_ever() -> None:
    assert str(KEY) == "3d548467-6922-597b-a426-8f36813b329c"


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(clock=now, ids=new_id)


def handler_of(log: MemoryEventLog) -> Handler:
    return Handler(log=log, deciders=DECIDER_OF, guard=guard.check)


def a_new_run() -> StartSetRun:
    return replace(a_run(a_spec()), run_id=new_id())


def envelope() -> Meta:
    return replace(META, command_id=new_id())


async def unfinished(log: MemoryEventLog, runs: list[StartSetRun]) -> list[str]:
    """Return the runs that were stored, each as the holder that it would be."""
    heads = [await log.read_stream(f"testing.set_run-{run.run_id}") for run in runs]
    return [
        f"set_run:{run.run_id}"
        for run, head in zip(runs, heads, strict=True)
        if head.events
    ]


async def test_of_many_that_race_for_a_key_one_holds_it(log: MemoryEventLog) -> None:
    handlers = [handler_of(log) for _ in range(3)]
    await handlers[0].handle_bulk([(each, envelope()) for each in DESK_WITH_SET])
    runs = [a_new_run() for _ in range(9)]

    answers = await asyncio.gather(
        *(
            handlers[place % 3].handle(run, envelope())
            for place, run in enumerate(runs)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Outcome) for answer in answers) == 1
    (holder,) = await unfinished(log, runs)
    refusals = [answer for answer in answers if isinstance(answer, RunUnfinished)]
    assert len(refusals) == 8
    assert all(holder in str(refusal) for refusal in refusals)


async def test_within_a_batch_a_key_is_held_until_it_is_released(
    log: MemoryEventLog,
) -> None:
    handler = handler_of(log)
    await handler.handle_bulk([(each, envelope()) for each in DESK_WITH_SET])
    one, two, three = a_new_run(), a_new_run(), a_new_run()
    cancel = CancelSetRun(run_id=one.run_id, reason="Wrong file")

    answers = await handler.handle_bulk(
        [(each, envelope()) for each in (one, two, cancel, three)]
    )

    assert [type(answer) for answer in answers] == [
        Outcome,
        RunUnfinished,
        Outcome,
        Outcome,
    ]
    key = ReserveKey(
        org_id=ORG,
        scope="unfinished-run",
        key=(META.actor, str(SET)),
        holder=f"set_run:{three.run_id}",
        path="$",
    )
    version, state = await handler.state(
        reservations.decider, key.reservation_id, org_id=ORG
    )
    assert (version, state.holder) == (3, key.holder)
