"""People take along all that is kept about them, and then leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.message import ERASED
from infra.carrying import carrying
from infra.clock import new_id
from infra.commands.verifying import compare
from infra.operations.verify import verify
from infra.working import working
from projections.catalogue import TABLES
from tests.end_to_end.people import (
    PASSWORD,
    Person,
    administrator,
    code_in,
    open_to_all,
    post,
)
from tests.end_to_end.stack import Stack
from tests.suites.event_log import everything_after


PATH = "/v1/auth/me/export"


@pytest.fixture(scope="module")
async def library(stack: Stack) -> Stack:
    """A stack whose organisation is open to all."""
    await open_to_all(stack)
    return stack


async def member(stack: Stack, name: str) -> Person:
    """Return somebody who may write in testing."""
    found = Person(stack=stack, email=f"{name}@library.example")
    assert (await found.register()).status == 201
    granted = await administrator(stack).command(
        "access.GrantRole", user_id=str(found.id), area="testing", role="user"
    )
    assert granted.status == 200
    refreshed = await found.auth("refresh", refresh_token=found.tokens["refresh_token"])
    assert refreshed.status == 200
    return found


async def exported(person: Person) -> list[dict[str, Any]]:
    answer = await person.ask("GET", PATH)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in answer.body.splitlines()]


async def create(person: Person, name: str) -> None:
    answer = await person.command(
        "testing.CreatePersona",
        persona_id=str(new_id()),
        name=name,
        role="reader",
        background="",
    )
    assert answer.status == 200, answer.body


async def test_an_export_holds_the_own_events_rows_and_sessions_and_no_other_s(
    library: Stack,
) -> None:
    vera, olga = await member(library, "vera"), await member(library, "olga")
    await create(vera, "Vera made this")
    await create(olga, "Olga made this")
    await library.caught_up()

    lines = await exported(vera)
    assert lines[0]["user_id"] == str(vera.id)
    kinds = [line["kind"] for line in lines]
    assert lines[-1] == {
        "kind": "end",
        "events": kinds.count("event"),
        "rows": kinds.count("row"),
        "sessions": 1,
    }
    told = [line["event"] for line in lines if line["kind"] == "event"]
    assert [each["position"] for each in told] == sorted(
        each["position"] for each in told
    )
    registered = next(
        each["event"] for each in told if each["event"]["type"].endswith("Registered")
    )
    assert registered["email"] == vera.email
    types = {each["event"]["type"] for each in told}
    assert {"access.RoleGranted", "testing.PersonaCreated"} <= types
    rows = {(line["table"], *line["row"].values()) for line in flat(lines)}
    assert {row[0] for row in rows} >= {"access.users", "access.grants"}
    assert any("Vera made this" in row for row in rows)
    everything = msgspec.json.encode(lines).decode()
    assert "Olga" not in everything
    assert "olga" not in everything
    assert str(olga.id) not in everything


def flat(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**line, "row": {name: str(value) for name, value in line["row"].items()}}
        for line in lines
        if line["kind"] == "row"
    ]


async def test_only_who_has_an_account_has_data_of_their_own(library: Stack) -> None:
    refused = await administrator(library).ask("GET", PATH)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    nobody = Person(stack=library, email="-")
    assert (await nobody.ask("GET", PATH)).status == 401


async def test_who_erases_themselves_leaves_a_log_that_is_whole(
    library: Stack,
) -> None:
    nora = await member(library, "nora")
    before = msgspec.json.encode(await exported(nora)).decode()
    assert nora.email in before
    erased = await nora.command(
        "access.EraseUser", user_id=str(nora.id), reason="I leave"
    )
    assert erased.status == 200, erased.body

    async with asyncio.timeout(20):
        while nora.email in await opened(library):  # noqa: ASYNC110 - another process erases
            await asyncio.sleep(0.05)
    assert ERASED in await opened(library)
    await library.caught_up()
    rows = await administrator(library).ask("GET", f"/v1/access/users/{nora.id}")
    assert rows.json["is_erased"]
    assert nora.email.encode() not in rows.body
    report = await verify(
        library.urls.projector,
        tables=TABLES,
        tables_check=lambda: compare(library.operations),
    )
    assert report.ok, report.first_bad


async def test_where_somebody_is_invited_to_evaluate_goes_with_them(
    library: Stack,
) -> None:
    owner = administrator(library)
    owner.tokens = {"access_token": library.token(subject="user:olaf")}
    dora = await member(library, "dora")
    early, late = new_id(), new_id()
    async with kept_in_mind(library):
        await invited(owner, early, dora.email.upper(), "guest@library.example")
        await seen(dora, early)
        moved = await moved_to(dora, "dora@elsewhere.example")
        await invited(owner, late, "dora@elsewhere.example")
        await seen(moved, late)
        lists = {str(early), str(late)}
        lines = await exported(moved)
        told = [line["event"] for line in lines if line["kind"] == "event"]
        found = {
            each["event"]["playground_id"]
            for each in told
            if each["event"]["type"] == "playgrounds.TesterListed"
        }
        assert found == lists
        rows = [line["row"] for line in lines if line.get("table") == LIST]
        assert {row["playground_id"] for row in rows} <= lists
        assert "guest@" not in msgspec.json.encode(lines).decode()

        erased = await owner.command(
            "access.EraseUser", user_id=str(moved.id), reason="Asked for"
        )
        assert erased.status == 200, erased.body
        async with asyncio.timeout(20):
            while "dora@" in await opened(library):  # noqa: ASYNC110 - another process erases
                await asyncio.sleep(0.05)
        assert "guest@library.example" in await opened(library)
        await library.caught_up()
        left = await owner.ask("GET", f"/v1/{LIST.replace('.', '/')}?limit=200")
        shown = {row["email"] for row in left.json["rows"]}
        assert shown == {ERASED, "guest@library.example"}


LIST = "playgrounds.access_list"


@asynccontextmanager
async def kept_in_mind(stack: Stack) -> AsyncIterator[None]:
    """Have jobs done while inside."""
    async with (
        carrying(stack.settings) as carrier,
        working(
            stack.urls, stack.project, carrier=carrier, data_dir=stack.settings.data_dir
        ),
    ):
        yield


async def invited(owner: Person, playground_id: UUID, *emails: str) -> None:
    """Let these addresses evaluate two models."""
    command = {
        "type": "playgrounds.CreatePlayground",
        "playground_id": str(playground_id),
        "name": "Two desks",
        "kind": "ab_testing",
        "is_active": False,
        "restricted_emails": emails,
        "models": [
            {
                "model_key": key,
                "model_name": f"Model {key}",
                "embed_code": f'<elevenlabs-convai agent-id="{key}">'
                "</elevenlabs-convai>",
                "max_evaluations": 10,
            }
            for key in ("model_a", "model_b")
        ],
    }
    answer = await owner.ask(
        "POST", "/v1/commands", command, Idempotency_Key=str(new_id())
    )
    assert answer.status == 200, answer.body


async def seen(person: Person, playground_id: UUID) -> None:
    """Wait until it is kept in mind that a person is on a list."""
    async with asyncio.timeout(30):
        while str(playground_id) not in str(await exported(person)):  # noqa: ASYNC110 - a job does it
            await asyncio.sleep(0.1)


async def moved_to(person: Person, email: str) -> Person:
    """Change a person's address, and return them with tokens that stay good.

    A job outdates every token that was issued before it ran, also those of a sign-in
    that it meets; whoever has one refreshes it.
    """
    stack = person.stack
    asked = await person.ask("POST", "/v1/auth/email", {"email": email})
    assert asked.status == 202
    code = code_in((await post(stack, email, more_than=0))[-1])
    given = {"email": email, "code": code, "password": PASSWORD}
    changed = await person.ask("PUT", "/v1/auth/email", given)
    assert changed.status == 200, changed.body
    moved = Person(stack=stack, email=email)
    assert (await moved.sign_in()).status == 200
    async with asyncio.timeout(20):
        while (await person.ask("GET", PATH)).status != 401:  # noqa: ASYNC110 - a job does it
            await asyncio.sleep(0.05)
    known = moved.tokens["refresh_token"]
    assert (await moved.auth("refresh", refresh_token=known)).status == 200
    return moved


async def opened(stack: Stack) -> str:
    """Return the whole log as the process reads it that destroys keys."""
    events = await everything_after(stack.project.log, 0)
    return msgspec.json.encode(list(events)).decode()
