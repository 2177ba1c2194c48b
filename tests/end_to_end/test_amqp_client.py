"""The client over AMQP: what the one over HTTP promises, over a broker."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from events.errors import (
    Conflict,
    Failure,
    Malformed,
    Mismatch,
    Unauthenticated,
    Unavailable,
)
from events.ids import PersonaId
from infra.messaging import taking
from infra.rabbit.client import AmqpClient
from services.client.client import Request
from services.outcome import Outcome
from services.testing.personas import ChangePersonaDetails, CreatePersona
from tests.builders import new_id
from tests.end_to_end.amqp import Producer, amqp, carrier, gated
from tests.end_to_end.stack import Stack


@pytest.fixture
async def producer(stack: Stack, rabbitmq: str) -> AsyncIterator[Producer]:
    async with amqp(stack, rabbitmq) as producer:
        yield producer


def client(
    producer: Producer, *, url: str | None = None, patience: float = 0
) -> AmqpClient:
    return AmqpClient(
        url or producer.url,
        producer.stack.token(),
        namespace=producer.topology.namespace,
        patience=patience,
    )


def create(name: str = "Ada") -> CreatePersona:
    return CreatePersona(
        persona_id=PersonaId(new_id()), name=name, role="reader", background=""
    )


async def test_a_command_is_answered_as_over_http(
    stack: Stack, producer: Producer
) -> None:
    command, command_id = create(), new_id()
    async with client(producer) as amqp_client, stack.client() as http_client:
        outcome = await amqp_client.send(
            command, command_id=command_id, expected_version=0
        )
        again = await http_client.send(
            command, command_id=command_id, expected_version=0
        )
    assert (outcome.status, again.status) == ("ok", "duplicate")
    assert (outcome.position, outcome.receipt) == (again.position, again.receipt)


async def test_failures_are_those_of_http(stack: Stack, producer: Producer) -> None:
    command, command_id = create(), new_id()
    change = ChangePersonaDetails(persona_id=command.persona_id, name="Bea")
    async with client(producer) as one, stack.client() as other:
        await one.send(command, command_id=command_id)
        found: list[list[tuple[type, str, str | None]]] = []
        for each in (one, other):
            told = []
            for wanted, given in (
                (create("Eve"), {"command_id": command_id}),
                (change, {"expected_version": 9}),
                (ChangePersonaDetails(persona_id=PersonaId(new_id())), {}),
                (create(" "), {}),
            ):
                with pytest.raises(Failure) as caught:
                    await each.send(wanted, **given)
                failure = caught.value
                told.append((type(failure), str(failure), failure.path))
            found.append(told)
    assert found[0] == found[1]
    assert [kind for kind, _, _ in found[0]][:2] == [Mismatch, Conflict]


async def test_a_conflict_tells_the_actual_version(producer: Producer) -> None:
    command = create()
    async with client(producer) as amqp_client:
        outcome = await amqp_client.send(command)
        with pytest.raises(Conflict) as caught:
            await amqp_client.send(
                ChangePersonaDetails(persona_id=command.persona_id, name="Bea"),
                expected_version=9,
            )
    assert caught.value.actual == outcome.version


async def test_a_batch_is_answered_with_a_verdict_for_each(producer: Producer) -> None:
    command = create()
    requests = [
        Request(command=command, command_id=new_id()),
        Request(command=create(" "), command_id=new_id()),
    ]
    async with client(producer) as amqp_client:
        good, bad = await amqp_client.send_many(requests)
    assert isinstance(good, Outcome)
    assert isinstance(bad, Malformed)


async def test_replies_find_those_who_asked(producer: Producer) -> None:
    ids = [new_id() for _ in range(100)]
    async with client(producer) as amqp_client:
        outcomes = await asyncio.gather(
            *(amqp_client.send(create(), command_id=each) for each in ids)
        )
    assert [outcome.command_id for outcome in outcomes] == ids


async def test_a_cut_connection_sends_again_and_takes_effect_once(
    stack: Stack, producer: Producer
) -> None:
    before = (await stack.api.log.head()).position
    async with (
        gated(producer.url) as gate,
        client(producer, url=gate.url, patience=30) as amqp_client,
    ):
        sending = [asyncio.create_task(amqp_client.send(create())) for _ in range(60)]
        for place in (0, 20, 40):
            await sending[place]
            gate.gate.cut()
        outcomes = await asyncio.gather(*sending)

    assert len({outcome.stream_id for outcome in outcomes}) == 60
    appended = (await stack.api.log.head()).position - before
    assert appended == sum(outcome.events for outcome in outcomes)


async def test_without_an_intake_it_is_unknown(
    stack: Stack, rabbitmq: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.rabbit.client.ATTEMPT_SECONDS", 0.5)
    async with amqp(stack, rabbitmq, running=False) as waiting:
        command, command_id = create(), new_id()
        async with client(waiting, patience=0) as amqp_client:
            with pytest.raises(Unavailable):
                await amqp_client.send(command, command_id=command_id)
        async with (
            taking(
                stack.settings,
                stack.urls,
                stack.api,
                carrier=carrier(rabbitmq, waiting.topology),
            ),
            client(waiting) as amqp_client,
        ):
            outcome = await amqp_client.send(command, command_id=command_id)
    assert outcome.command_id == command_id


async def test_a_bad_token_is_told_at_once(producer: Producer) -> None:
    bad = AmqpClient(producer.url, "nonsense", namespace=producer.topology.namespace)
    async with bad:
        with pytest.raises(Unauthenticated):
            await bad.send(create())
