"""Who sends too many commands waits, over HTTP and AMQP alike."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import pytest

from infra.clock import new_id
from tests.end_to_end.amqp import amqp
from tests.end_to_end.people import Person
from tests.end_to_end.stack import Stack, served


LIMIT: Final = 60


def create() -> dict[str, Any]:
    return {
        "type": "testing.CreatePersona",
        "persona_id": str(new_id()),
        "name": "Ada",
        "role": "reader",
        "background": "",
    }


def batch(size: int) -> list[dict[str, Any]]:
    return [{"command_id": str(new_id()), "command": create()} for _ in range(size)]


@pytest.fixture
async def limited(stack: Stack) -> AsyncIterator[Stack]:
    """A stack whose callers may send one command a second."""
    settings = msgspec.structs.replace(stack.settings, commands_per_minute=LIMIT)
    async with served(settings, stack.api) as url:
        yield replace(stack, settings=settings, url=url)


def person(stack: Stack, name: str) -> Person:
    token = stack.token(subject=f"user:{name}")
    return Person(stack=stack, email="-", tokens={"access_token": token})


async def test_who_passed_the_rate_is_told_how_long_to_wait(limited: Stack) -> None:
    hasty, calm = person(limited, "hasty"), person(limited, "calm")
    answer = await hasty.ask("POST", "/v1/commands", batch(LIMIT))
    assert {each["status"] for each in answer.json} == {"ok"}

    before = (await limited.api.log.head()).position
    refused = await hasty.ask(
        "POST", "/v1/commands", create(), Idempotency_Key=str(new_id())
    )
    assert (refused.status, refused.json["code"]) == (429, "too-many")
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert (await limited.api.log.head()).position == before
    answer = await calm.ask(
        "POST", "/v1/commands", create(), Idempotency_Key=str(new_id())
    )
    assert answer.status == 200


async def test_a_message_past_the_rate_is_handled_later(
    limited: Stack, rabbitmq: str
) -> None:
    token = limited.token(subject="user:eager")
    async with amqp(limited, rabbitmq) as producer:
        await producer.ask(batch(LIMIT), key="batch", command_id=None, token=token)
        late = await producer.ask(create(), token=token)
        assert late["status"] == "ok"
    kept = await limited.as_superuser(
        "SELECT count(*) AS waited FROM sign_in.rates WHERE key LIKE '%user:eager'"
    )
    assert kept[0]["waited"] == 1
