"""A message in, an answer out: the same verdicts as over HTTP, each with its path."""

from datetime import timedelta
from typing import Any

import pytest

from events.errors import (
    Forbidden,
    Malformed,
    Missing,
    Refused,
    TooLarge,
    Unauthenticated,
)
from infra.clock import now
from services.commanding import BATCH_BYTES, BATCH_COMMANDS
from services.handling import NobodyToAskFor
from services.intake.answering import Expired, Partly
from services.intake.letters import GivenUp
from services.problems import UnsupportedMedia
from tests.builders import new_id
from tests.services.intake.world import CREATE, PERSONA, make_world, message, token


DELETE = {"type": "testing.DeletePersona", "persona_id": PERSONA}
AT = "headers.authorization"
OTHERS = {"authorization": f"Bearer {token(org='umbrella')}"}


def envelope(command: object = CREATE, **given: object) -> dict[str, object]:
    return {"command_id": str(new_id()), "command": command, **given}


async def test_a_command_is_answered_with_its_outcome() -> None:
    world = make_world()
    asked = message()

    answer, failure = await world.answer(asked)

    assert failure is None
    assert answer["status"] == "ok"
    assert answer["command_id"] == asked.message_id
    assert answer["stream_id"] == f"testing.persona-{PERSONA}"


async def test_the_same_message_again_is_answered_as_a_duplicate() -> None:
    world = make_world()
    asked = message()
    first, _ = await world.answer(asked)

    again, failure = await world.answer(asked)

    assert failure is None
    assert again == {**first, "status": "duplicate"}


async def test_headers_and_properties_become_the_envelope() -> None:
    world = make_world()
    correlation_id, causation_id = str(new_id()), str(new_id())
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asked = message(
        headers={
            "Authorization": None,
            "AUTHORIZATION": f"bearer {token(scopes=['import'])}",
            "authorization": None,
            "rehearsal-correlation-id": correlation_id,
            "rehearsal-causation-id": causation_id,
            "rehearsal-occurred-at": "2026-05-01T12:00:00Z",
            "rehearsal-expected-version": 0,
            "rehearsal-org-id": "acme",
            "rehearsal-actor": "user:ada",
            "traceparent": trace,
        }
    )

    await world.answer(asked)

    ((_, meta),) = world.handler.handled
    assert str(meta.command_id) == asked.message_id
    assert str(meta.correlation_id) == correlation_id
    assert str(meta.causation_id) == causation_id
    assert meta.occurred_at.isoformat() == "2026-05-01T12:00:00+00:00"
    assert meta.expected_version == 0
    assert meta.headers == {"traceparent": trace}
    assert (meta.org_id, meta.actor, meta.ip) == ("acme", "user:ada", None)


async def test_a_service_says_for_whom_it_asks() -> None:
    world = make_world()
    bearer = token(subject="service:shop", scopes=["delegate"])
    headers = {"authorization": f"Bearer {bearer}"}
    asked = message(headers={**headers, "rehearsal-on-behalf-of": f"user:{PERSONA}"})

    _, failure = await world.answer(asked)

    ((_, meta),) = world.handler.handled
    assert meta.on_behalf_of == f"user:{PERSONA}"
    assert isinstance(failure, NobodyToAskFor)

    odd = message(headers={**headers, "rehearsal-on-behalf-of": "user:shop"})
    _, failure = await world.answer(odd)
    assert isinstance(failure, Malformed)
    assert failure.path == "headers.rehearsal-on-behalf-of"


async def test_a_batch_is_answered_with_a_verdict_for_each() -> None:
    world = make_world()
    body = [
        envelope(),
        envelope({**CREATE, "name": 3}),
        envelope(DELETE),
        envelope(DELETE, org_id="umbrella"),
    ]

    answer, failure = await world.answer(message(body))

    assert [each["status"] for each in answer] == ["ok", 400, "ok", 403]
    assert isinstance(failure, Partly)
    assert failure.path == "$[1].command.name"


async def test_lines_are_answered_with_lines() -> None:
    world = make_world()
    lines = b'{"command_id": "%b", "command": {"type": "testing.Nothing"}}\n' % (
        str(new_id()).encode()
    )
    asked = message(2 * lines, content_type="application/x-ndjson")

    found = await world.answering.answer(world.answering.begin(asked))

    assert found.reply.content_type == "application/x-ndjson"
    assert found.reply.body.count(b"\n") == 2


@pytest.mark.parametrize(
    ("given", "failure", "path"),
    [
        ({"headers": {"authorization": None}}, Unauthenticated, AT),
        ({"headers": {"authorization": "x"}}, Unauthenticated, AT),
        ({"headers": {"authorization": b"\xff"}}, Malformed, AT),
        ({"headers": {"rehearsal-org-id": "other"}}, Forbidden,
         "headers.rehearsal-org-id"),
        ({"headers": {"rehearsal-actor": "user:x"}}, Forbidden,
         "headers.rehearsal-actor"),
        ({"headers": {"rehearsal-causation-id": "x"}}, Malformed,
         "headers.rehearsal-causation-id"),
        ({"headers": {"rehearsal-expected-version": "-1"}}, Malformed,
         "headers.rehearsal-expected-version"),
        ({"headers": {"rehearsal-expected-version": [1]}}, Malformed,
         "headers.rehearsal-expected-version"),
        ({"headers": {"rehearsal-occurred-at": "2026-05-01T12:00:00Z"}}, Forbidden,
         "headers.rehearsal-occurred-at"),
        ({"headers": {"rehearsal-on-behalf-of": f"user:{PERSONA}"}}, Forbidden,
         "headers.rehearsal-on-behalf-of"),
        ({"message_id": None}, Malformed, "properties.message_id"),
        ({"message_id": "7"}, Malformed, "properties.message_id"),
        ({"content_type": "text/xml"}, UnsupportedMedia, "properties.content_type"),
        ({"content_encoding": "gzip"}, UnsupportedMedia, "properties.content_encoding"),
        ({"routing_key": "testing.DeletePersona"}, Malformed, "routing_key"),
        ({"body": b"hello"}, Malformed, None),
        ({"body": b'{"type": "testing.Nothing"}'}, Malformed, "$.type"),
        ({"body": b"[" * 100_000}, Malformed, None),
        ({"body": b"[1]", "routing_key": "x"}, Malformed, "routing_key"),
        ({"body": b" " * (BATCH_BYTES + 1)}, TooLarge, "body"),
        ({"body": b"[]", "routing_key": "batch"}, Malformed, None),
        ({"body": b"[%b1]" % (b"1," * BATCH_COMMANDS), "routing_key": "batch"},
         TooLarge, None),
        ({"death": "delivery_limit"}, GivenUp, None),
        ({"expires_at": now() - timedelta(seconds=1)}, Expired, None),
        ({"death": "expired"}, Expired, None),
    ],
)  # fmt: skip
async def test_what_cannot_be_handled_is_refused_with_its_path(
    given: dict[str, Any], failure: type[Exception], path: str | None
) -> None:
    world = make_world()

    answer, found = await world.answer(message(**given))

    assert type(found) is failure
    assert found.path == path
    assert answer.get("path") == path
    assert answer["status"] >= 400
    assert (await world.log.head()).position == 0


@pytest.mark.parametrize(
    ("body", "headers", "failure", "put_aside"),
    [
        ({**DELETE, "persona_id": str(new_id())}, {}, Missing, False),
        ({**CREATE, "name": "Bea"}, {}, Refused, False),
        (DELETE, OTHERS, Missing, False),
        (b'{"type": "testing.Nothing"}', {}, Malformed, True),
        (CREATE, {"authorization": None}, Unauthenticated, True),
    ],
)
async def test_only_what_can_never_be_handled_is_put_aside(
    body: dict[str, Any] | bytes,
    headers: dict[str, Any],
    failure: type[Exception],
    put_aside: bool,  # noqa: FBT001 - parameters
) -> None:
    world = make_world()
    await world.answer(message())
    key = {"routing_key": "testing.Nothing"} if isinstance(body, bytes) else {}

    asked = message(body, headers=headers, **key)
    found = await world.answering.answer(world.answering.begin(asked))

    assert isinstance(found.failure, failure)
    assert found.puts_aside is put_aside


async def test_what_expired_after_it_was_accepted_is_answered_with_its_outcome() -> (
    None
):
    world = make_world()
    asked = message()
    await world.answer(asked)
    late = {"expires_at": now() - timedelta(seconds=1)}

    answer, failure = await world.answer(message(message_id=asked.message_id, **late))

    assert failure is None
    assert answer["status"] == "duplicate"


async def test_a_batch_that_expired_halfway_tells_what_was_accepted() -> None:
    world = make_world()
    body = [envelope(), envelope(DELETE)]
    await world.answer(message([body[0]]))

    answer, failure = await world.answer(message(body, death="expired"))

    assert [each["status"] for each in answer] == ["duplicate", 422]
    assert isinstance(failure, Expired)
    assert failure.path == "$[1]"
