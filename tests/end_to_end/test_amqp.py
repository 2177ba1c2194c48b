"""Commands over a real RabbitMQ into a real PostgreSQL, and their replies."""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import msgspec
import pytest

from infra.messaging import taking
from infra.postgres.letters import PostgresLetters
from services.intake.letters import Letter
from tests.builders import new_id
from tests.end_to_end.amqp import PATIENCE, Producer, amqp, carrier, gated
from tests.end_to_end.stack import OTHER_ORG, Stack
from tests.raw_amqp import ODD, RawChannel


@pytest.fixture
async def producer(stack: Stack, rabbitmq: str) -> AsyncIterator[Producer]:
    async with amqp(stack, rabbitmq) as producer:
        yield producer


def create(persona_id: str | None = None) -> dict[str, Any]:
    return {
        "type": "testing.CreatePersona",
        "persona_id": persona_id or str(new_id()),
        "name": "Ada",
        "role": "reader",
        "background": "",
    }


def renamings(persona_id: str, count: int) -> list[dict[str, Any]]:
    kind = "testing.ChangePersonaDetails"
    return [
        {"type": kind, "persona_id": persona_id, "name": f"Ada {number}"}
        for number in range(count)
    ]


async def names(stack: Stack, persona_id: str) -> list[str]:
    """Return the names that a persona had, in order."""
    stream = await stack.api.log.read_stream(f"testing.persona-{persona_id}")
    given = [msgspec.to_builtins(each.event).get("name") for each in stream.events]
    return [name for name in given if name]


async def dead_letter(stack: Stack, **known: object) -> Letter:
    """Return the dead letter whose message has these properties, once it is there."""
    letters = PostgresLetters(stack.api.pool)
    async with asyncio.timeout(PATIENCE):
        while True:
            for letter in await letters.dead(limit=1_000):
                message = letter.message
                if all(getattr(message, name) == known[name] for name in known):
                    return letter
            await asyncio.sleep(0.02)


async def test_a_command_is_answered_as_over_http(
    stack: Stack, producer: Producer
) -> None:
    command_id, body = new_id(), create()

    reply = await producer.reply(await producer.send(body, command_id=command_id))
    _, over_http = await stack.request(
        "POST",
        "/v1/commands",
        msgspec.json.encode(body),
        Content_Type="application/json",
        Idempotency_Key=str(command_id),
    )

    assert reply.content_type == "application/json"
    answer = msgspec.json.decode(reply.body)
    assert {**answer, "status": "duplicate"} == msgspec.json.decode(over_http)


async def test_commands_of_a_stream_keep_their_order(
    stack: Stack, producer: Producer
) -> None:
    ids = [str(new_id()) for _ in range(5)]
    changes = zip(*(renamings(each, 40) for each in ids), strict=True)
    commands = [*map(create, ids), *chain.from_iterable(changes)]
    async with taking(
        stack.settings,
        stack.urls,
        stack.project,
        carrier=carrier(producer.url, producer.topology),
    ):
        answers = await producer.ask_many(commands)

    assert {answer["status"] for answer in answers} == {"ok"}
    for each in ids:
        assert await names(stack, each) == ["Ada", *(f"Ada {n}" for n in range(40))]


async def test_cut_connections_lose_no_command_and_no_order(
    stack: Stack, rabbitmq: str
) -> None:
    persona_id = str(new_id())
    commands = [create(persona_id), *renamings(persona_id, 200)]
    async with (
        amqp(stack, rabbitmq, running=False) as producer,
        gated(rabbitmq) as gate,
        taking(
            stack.settings,
            stack.urls,
            stack.api,
            carrier=carrier(gate.url, producer.topology),
        ),
    ):
        sent = [await producer.send(each) for each in commands]
        for place in (1, 60, 120):
            await producer.reply(sent[place])
            gate.gate.cut()
        for each in sent:
            await producer.reply(each)

    assert await names(stack, persona_id) == ["Ada", *(f"Ada {n}" for n in range(200))]


async def test_a_token_of_another_organisation_reaches_nothing_of_ours(
    stack: Stack, producer: Producer
) -> None:
    body = create()
    await producer.ask(body)
    theirs = stack.token(org=OTHER_ORG)

    answer = await producer.ask(
        {"type": "testing.DeletePersona", "persona_id": body["persona_id"]},
        token=theirs,
    )

    assert answer["status"] == 404


async def test_what_expires_in_the_queue_is_answered_and_kept(
    stack: Stack, rabbitmq: str
) -> None:
    async with amqp(stack, rabbitmq, running=False) as waiting:
        sent = await waiting.send(create(), expiration=0.001)
        async with taking(
            stack.settings,
            stack.urls,
            stack.api,
            carrier=carrier(rabbitmq, waiting.topology),
        ):
            reply = await waiting.reply(sent)

    assert msgspec.json.decode(reply.body)["code"] == "expired"
    letter = await dead_letter(stack, correlation_id=sent)
    assert (letter.code, letter.message.death) == ("expired", "expired")


async def test_a_reply_into_a_queue_of_ours_is_not_sent(
    stack: Stack, producer: Producer
) -> None:
    queue = producer.topology.commands.name
    sent = await producer.send(b"hello", key="testing.Nothing", reply_to=queue)

    letter = await dead_letter(stack, correlation_id=sent)

    assert letter.code == "malformed"
    assert (await producer.ask(create()))["status"] == "ok"


@pytest.mark.parametrize("properties", ODD.values(), ids=ODD)
async def test_properties_that_no_library_writes_stop_nobody(
    stack: Stack, producer: Producer, properties: dict[str, bytes]
) -> None:
    body = str(new_id()).encode()
    exchange = producer.topology.commands.exchange.name
    with RawChannel(producer.url) as channel:
        channel.publish(exchange, "testing.Nothing", body, **properties)

    letter = await dead_letter(stack, body=body)

    assert letter.code in {"unauthenticated", "malformed"}
    assert (await producer.ask(create()))["status"] == "ok"
