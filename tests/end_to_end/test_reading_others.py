"""Personal text of others in the log is closed until one says why, on record."""

import asyncio
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest

from events.access.readings import PersonalTextRead
from events.message import SEALED
from services.client.client import Client
from tests.end_to_end.people import Person, administrator, open_to_all
from tests.end_to_end.stack import ORG, Stack


WHY: Final = "Ines asked what is kept of her"


@pytest.fixture(scope="module")
async def ines(stack: Stack) -> Person:
    """Somebody with an account, who may also administer."""
    await open_to_all(stack)
    found = Person(stack=stack, email="ines@library.example")
    assert (await found.register()).status == 201
    return found


def reader(stack: Stack) -> Person:
    """Return somebody who administers everything."""
    token = stack.token(subject="user:rita")
    return Person(
        stack=stack, email="rita@library.example", tokens={"access_token": token}
    )


def stream_of(person: Person, **query: str) -> str:
    asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    return f"/v1/streams/access.user-{person.id}?{asked}"


def registered(body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the registration among events."""
    found: dict[str, Any] = next(
        each["event"]
        for each in body["events"]
        if each["event"]["type"] == "access.UserRegistered"
    )
    return found


async def readings(stack: Stack) -> list[PersonalTextRead]:
    return [
        each.event
        for each in await stack.events()
        if isinstance(each.event, PersonalTextRead)
    ]


async def test_without_a_reason_personal_text_of_others_stays_closed(
    stack: Stack, ines: Person
) -> None:
    before = await readings(stack)
    rita = reader(stack)
    for path in (stream_of(ines), "/v1/events?limit=1000"):
        answer = await rita.ask("GET", path)
        assert answer.status == 200, answer.body
        told = registered(answer.json)
        assert (told["email"], told["username"]) == (SEALED, SEALED)
        assert ines.email.encode() not in answer.body
    async with (
        asyncio.timeout(20),
        Client(stack.url, stack.token(subject="user:rita")) as client,
        aclosing(client.events()) as feed,
    ):
        async for recorded in feed:
            if recorded.stream_id == f"access.user-{ines.id}":
                break
    assert getattr(recorded.event, "email", None) == SEALED
    own = Person(
        stack=stack,
        email=ines.email,
        tokens={"access_token": stack.token(subject=f"user:{ines.id}")},
    )
    answer = await own.ask("GET", stream_of(ines))
    assert registered(answer.json)["email"] == ines.email
    assert await readings(stack) == before


async def test_with_a_reason_it_is_opened_and_the_audit_log_says_so(
    stack: Stack, ines: Person
) -> None:
    before = len(await readings(stack))
    rita = reader(stack)
    answer = await rita.ask("GET", stream_of(ines, reason=WHY))
    assert registered(answer.json)["email"] == ines.email
    answer = await rita.ask("GET", f"/v1/events?limit=1000&reason={quote(WHY)}")
    assert registered(answer.json)["email"] == ines.email
    stream, page = (await readings(stack))[before:]
    assert (stream.source, page.source) == ("stream", "page")
    assert stream.stream_id == f"access.user-{ines.id}"
    assert ines.id in page.subject_ids
    assert page.stream_id is None

    await stack.caught_up()
    admin = administrator(stack)
    rows = (await admin.ask("GET", "/v1/audit/audit_log?action=read")).json["rows"]
    (row,) = (each for each in rows if each["resource_id"] == str(ines.id))
    assert (row["actor"], row["resource_type"]) == ("user:rita", "user")
    (told,) = row["new_values"].values()
    assert told["reason"] == WHY
    assert told["subject_ids"] == [str(ines.id)]
    assert row["ip_address"]


async def test_a_live_feed_is_recorded_when_it_begins(
    stack: Stack, ines: Person
) -> None:
    before = len(await readings(stack))
    rita = reader(stack)
    answer = await asyncio.wait_for(
        first_of_feed(rita, f"/v1/events?reason={quote(WHY)}", ines.email), 20
    )
    assert answer
    (feed,) = (await readings(stack))[before:]
    assert (feed.source, feed.first, feed.last) == ("feed", 1, None)


async def first_of_feed(person: Person, path: str, word: str) -> bool:
    """Read a live feed until a word is in it."""
    headers = {
        "Accept": "text/event-stream",
        "Authorization": f"Bearer {person.tokens['access_token']}",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.get(person.stack.url + path, headers=headers) as response,
    ):
        async for line in response.content:
            if word.encode() in line:
                return True
    return False


async def test_a_service_that_was_given_the_log_needs_no_reason(
    stack: Stack, ines: Person
) -> None:
    before = await readings(stack)
    token = stack.issuer.issue("service:archive", org=ORG, scopes=["events"])
    archive = Person(stack=stack, email="-", tokens={"access_token": token})
    answer = await archive.ask("GET", stream_of(ines))
    assert registered(answer.json)["email"] == ines.email
    assert await readings(stack) == before


@pytest.mark.parametrize("reason", ["", "%20", "x" * 1_001, "%00"])
async def test_a_reason_says_something(stack: Stack, ines: Person, reason: str) -> None:
    for path in (f"/v1/streams/access.user-{ines.id}", "/v1/events"):
        answer = await reader(stack).ask("GET", f"{path}?reason={reason}")
        assert answer.status == 400, answer.body
        assert answer.json["path"] == "query.reason"


async def test_where_nobody_s_text_is_read_nothing_is_recorded(stack: Stack) -> None:
    before = await readings(stack)
    rita = reader(stack)
    path = f"/v1/events?type=access.RoleGranted&reason={quote(WHY)}"
    assert (await rita.ask("GET", path)).status == 200
    assert await readings(stack) == before
