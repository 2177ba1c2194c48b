"""A subject is erased once in an organisation, and nobody stands in another's way."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from events.access.subjects import SubjectErased
from events.ids import SubjectId
from events.log import Append, Write
from events.message import Meta
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from services import guard
from services.access.subjects import EraseSubject, decider
from services.handling import Handler
from services.routing import DECIDER_OF
from tests import builders
from tests.given import given


SUBJECT = SubjectId(UUID(int=1))
REASON = "Asked for on paper"
ERASURE = EraseSubject(subject_id=SUBJECT, reason=REASON)
ERASED = SubjectErased(subject_id=SUBJECT, reason=REASON)
SHARED = f"access.subject-{SUBJECT}"


def test_a_subject_is_erased_once() -> None:
    given().when(ERASURE).then(ERASED).when(ERASURE).then()


def test_the_stream_of_an_erasure_is_found_again_for_ever() -> None:
    stream = decider.stream(ERASURE, "acme")
    assert stream == "access.subject-d305db8d-9e2d-5363-bfa3-0feecae557a3"


@pytest.fixture
def log() -> MemoryEventLog:
    return MemoryEventLog(clock=now, ids=new_id)


def asked(org_id: str) -> Meta:
    return replace(
        builders.meta(), command_id=new_id(), org_id=org_id, roles=frozenset({"admin"})
    )


def handler_of(log: MemoryEventLog) -> Handler:
    return Handler(log=log, deciders=DECIDER_OF, guard=guard.check)


async def erased_before(log: MemoryEventLog, org_id: str) -> None:
    """Write an erasure as it was written when organisations shared streams."""
    write = Write(stream_id=SHARED, events=(ERASED,))
    await log.append(Append(meta=asked(org_id), body_hash=b"x" * 32, writes=(write,)))


async def erasures(log: MemoryEventLog) -> list[tuple[str, str]]:
    return [(each.org_id, each.stream_id) for each in await log.read(0)]


@pytest.mark.parametrize("bulk", [False, True])
async def test_organisations_erase_a_subject_each_for_themselves(
    log: MemoryEventLog, *, bulk: bool
) -> None:
    for org_id in ("umbrella", "acme", "acme", "umbrella"):
        handler, meta = handler_of(log), asked(org_id)
        if bulk:
            await handler.handle_bulk([(ERASURE, meta)])
        else:
            await handler.handle(ERASURE, meta)
    assert await erasures(log) == [
        (org_id, decider.stream(ERASURE, org_id)) for org_id in ("umbrella", "acme")
    ]


@pytest.mark.parametrize("bulk", [False, True])
async def test_who_was_erased_when_streams_were_shared_stays_erased(
    log: MemoryEventLog, *, bulk: bool
) -> None:
    await erased_before(log, "acme")
    handler = handler_of(log)
    for _ in range(2):
        if bulk:
            (outcome,) = await handler.handle_bulk([(ERASURE, asked("acme"))])
        else:
            outcome = await handler.handle(ERASURE, asked("acme"))
        assert not isinstance(outcome, Exception)
        assert outcome.events == 0
    assert await erasures(log) == [("acme", SHARED)]


async def test_a_shared_stream_that_another_organisation_took_is_in_nobodys_way(
    log: MemoryEventLog,
) -> None:
    await erased_before(log, "umbrella")
    outcome = await handler_of(log).handle(ERASURE, asked("acme"))
    assert outcome.events == 1
    assert await erasures(log) == [
        ("umbrella", SHARED),
        ("acme", decider.stream(ERASURE, "acme")),
    ]
