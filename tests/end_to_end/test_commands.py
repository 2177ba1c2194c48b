"""What a client may rely on: once, in order, seen at once, and by nobody else."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
import pytest

from events.errors import Conflict, Failure, Mismatch, Missing, Refused
from events.ids import PersonaId
from projections.catalogue import TABLES
from services.client.client import Client
from services.outcome import Outcome
from services.testing.personas import (
    AddPersonaVersion,
    ChangePersonaDetails,
    CreatePersona,
    DeletePersona,
)
from tests.builders import new_id
from tests.end_to_end.stack import OTHER_ORG, Stack


TABLE = "testing.simulation_personas"
NDJSON = "application/x-ndjson"


def create(persona_id: UUID | None = None, name: str = "Ada") -> CreatePersona:
    return CreatePersona(
        persona_id=PersonaId(persona_id or new_id()),
        name=name,
        role="borrower",
        background="Reads a lot.",
    )


def renamed(persona_id: UUID, name: str) -> ChangePersonaDetails:
    return ChangePersonaDetails(persona_id=PersonaId(persona_id), name=name)


def envelope(command: object, command_id: UUID | None = None) -> bytes:
    return msgspec.json.encode(
        {"command_id": command_id or new_id(), "command": command}
    )


async def settled(
    client: Client, asked: Sequence[CreatePersona | ChangePersonaDetails]
) -> list[Outcome | Failure]:
    """Send commands at the same time, and return what became of each."""

    async def ask(command: CreatePersona | ChangePersonaDetails) -> Outcome | Failure:
        try:
            return await client.send(command, expected_version=2)
        except Failure as failure:
            return failure

    return await asyncio.gather(*map(ask, asked))


async def test_what_was_written_is_read_at_its_position(stack: Stack) -> None:
    async with stack.client() as client:

        async def write_then_read(number: int) -> None:
            persona_id, name = new_id(), f"Reader {number}"
            await client.send(create(persona_id))
            outcome = await client.send(renamed(persona_id, name))
            row = await client.row(TABLE, persona_id, min_position=outcome.position)
            assert row["name"] == name
            where = {"_id": persona_id}
            found = client.rows(TABLE, where, min_position=outcome.position)
            assert [each["name"] async for each in found] == [name]

        await asyncio.gather(*map(write_then_read, range(16)))


async def test_a_retry_is_answered_what_the_first_was(stack: Stack) -> None:
    command, command_id = create(), new_id()
    async with stack.client() as client:
        first = await client.send(command, command_id=command_id)
        await client.send(renamed(command.persona_id, "Ada L."))
        again = await client.send(command, command_id=command_id)
    assert (first.status, again.status) == ("ok", "duplicate")
    assert (again.position, again.version, again.events, again.recorded_at) == (
        first.position,
        first.version,
        first.events,
        first.recorded_at,
    )


async def test_of_retries_at_the_same_time_one_takes_effect(stack: Stack) -> None:
    command, command_id = create(), new_id()
    async with stack.client() as client:
        outcomes = await asyncio.gather(
            *(client.send(command, command_id=command_id) for _ in range(12))
        )
    assert sorted(outcome.status for outcome in outcomes) == ["duplicate"] * 11 + ["ok"]
    assert len({outcome.position for outcome in outcomes}) == 1
    caused = [each for each in await stack.events() if each.command_id == command_id]
    assert len(caused) == outcomes[0].events


async def test_an_id_that_was_used_for_another_body_is_refused(stack: Stack) -> None:
    command_id = new_id()
    async with stack.client() as client:
        await client.send(create(), command_id=command_id)
        before = await stack.events()
        with pytest.raises(Mismatch):
            await client.send(create(), command_id=command_id)
    assert await stack.events() == before


async def test_a_batch_stands_but_for_what_is_refused(stack: Stack) -> None:
    mine, other, unknown = (create(name=name) for name in ("Ada", "Ben", "Cleo"))
    taken = create(mine.persona_id, "Another")
    lines = [
        envelope(mine),
        envelope(taken),
        b'{"command_id": "not an id"}',
        envelope(renamed(unknown.persona_id, "Nobody")),
        envelope({"type": "testing.NoSuchCommand"}),
        b"{",
        envelope({**msgspec.to_builtins(other), "name": ""}),
        envelope(renamed(mine.persona_id, "Ada L.")),
        envelope(other),
    ]
    batch = b"\n".join(lines)
    status, body = await stack.request(
        "POST", "/v1/commands", batch, Content_Type=NDJSON
    )
    assert status == 200
    verdicts = [msgspec.json.decode(line) for line in body.splitlines()]
    assert [each["status"] for each in verdicts] == [
        *["ok", 422, 400, 404, 400, 400, 400],
        *["ok", "ok"],
    ]
    assert [each.get("path") for each in verdicts[1:7]] == [
        "$.persona_id",
        "$.command_id",
        "$.persona_id",
        "$.command.type",
        None,
        "$.command.name",
    ]
    async with stack.client() as client:
        position = verdicts[-1]["position"]
        row = await client.row(TABLE, mine.persona_id, min_position=position)
        assert row["name"] == "Ada L."
        assert (await client.row(TABLE, other.persona_id))["name"] == "Ben"
        with pytest.raises(Missing):
            await client.row(TABLE, unknown.persona_id)


async def test_a_batch_that_comes_again_changes_nothing(stack: Stack) -> None:
    batch = b"\n".join(envelope(create()) for _ in range(5))
    first, again = [
        await stack.request("POST", "/v1/commands", batch, Content_Type=NDJSON)
        for _ in range(2)
    ]
    before, after = (
        [msgspec.json.decode(line) for line in body.splitlines()]
        for _, body in (first, again)
    )
    assert {each["status"] for each in before} == {"ok"}
    assert {each["status"] for each in after} == {"duplicate"}
    assert [each["position"] for each in after] == [each["position"] for each in before]


async def test_a_version_that_has_passed_is_a_conflict(stack: Stack) -> None:
    command = create()
    async with stack.client() as client:
        seen = await client.send(command)
        change = renamed(command.persona_id, "Ada L.")
        now = await client.send(change, expected_version=seen.version)
        with pytest.raises(Conflict) as refused:
            await client.send(
                renamed(command.persona_id, "Too late"), expected_version=seen.version
            )
        assert refused.value.actual == now.version
        row = await client.row(TABLE, command.persona_id, min_position=now.position)
    assert row["name"] == "Ada L."


async def test_of_those_who_saw_the_same_version_one_wins(stack: Stack) -> None:
    command = create()
    async with stack.client() as client:
        assert (await client.send(command)).version == 2
        changes = [renamed(command.persona_id, f"Ada {n}") for n in range(8)]
        found = await settled(client, changes)
    won = [each for each in found if isinstance(each, Outcome)]
    assert [each.version for each in won] == [3]
    lost = [each for each in found if isinstance(each, Conflict)]
    assert [each.actual for each in lost] == [3] * 7


async def test_without_a_version_all_take_effect_in_turn(stack: Stack) -> None:
    command = create()
    async with stack.client() as client:
        await client.send(command)
        changes = [renamed(command.persona_id, f"Ada {n}") for n in range(8)]
        outcomes = await asyncio.gather(*map(client.send, changes))
    assert sorted(each.version for each in outcomes) == list(range(3, 11))


async def test_another_organisation_sees_nothing_over_http(stack: Stack) -> None:
    command = create()
    stream = f"testing.persona-{command.persona_id}"
    async with stack.client() as client, stack.client(org=OTHER_ORG) as stranger:
        outcome = await client.send(command)
        await client.row(TABLE, command.persona_id, min_position=outcome.position)
        for asked in (
            stranger.row(TABLE, command.persona_id),
            stranger.row(TABLE, command.persona_id, as_of=outcome.position),
            stranger.send(renamed(command.persona_id, "Mine")),
            stranger.send(DeletePersona(persona_id=command.persona_id)),
        ):
            with pytest.raises(Missing):
                await asked
        for name in TABLES:
            assert [row async for row in stranger.rows(name)] == []
    bearer = f"Bearer {stack.token(org=OTHER_ORG)}"
    status, _ = await stack.request(
        "GET", f"/v1/streams/{stream}", Authorization=bearer
    )
    assert status == 404
    status, body = await stack.request("GET", "/v1/events", Authorization=bearer)
    assert (status, msgspec.json.decode(body)["events"]) == (200, [])


async def test_a_stream_is_its_first_organisations(stack: Stack) -> None:
    command = create()
    async with stack.client() as client, stack.client(org=OTHER_ORG) as stranger:
        await client.send(command)
        before = await stack.events()
        with pytest.raises(Failure) as refused:
            await stranger.send(command)
    assert isinstance(refused.value, Missing | Refused | Conflict)
    assert await stack.events() == before


@pytest.mark.parametrize("name", TABLES)
async def test_another_organisation_sees_nothing_with_sql(
    name: str, stack: Stack
) -> None:
    statement = f"SELECT * FROM {name}"  # noqa: S608 - a name of ours
    assert await stack.sql(statement, org=OTHER_ORG) == []


async def test_who_says_nothing_of_themselves_sees_nothing(stack: Stack) -> None:
    async with stack.client() as client:
        await client.send(create())
    await stack.caught_up()
    connection = await asyncpg.connect(stack.urls.app)
    try:
        for name in TABLES:
            assert await connection.fetch(f"SELECT * FROM {name}") == []  # noqa: S608 - a name of ours
    finally:
        await connection.close()


async def test_a_persona_is_seen_as_it_was(stack: Stack) -> None:
    command = create(name="First")
    async with stack.client() as client:
        created = await client.send(command)
        added = await client.send(
            AddPersonaVersion(persona_id=command.persona_id, background="Reads more.")
        )
        changed = await client.send(renamed(command.persona_id, "Second"))
        deleted = await client.send(DeletePersona(persona_id=command.persona_id))

        async def at(moment: object) -> tuple[int, str, str, bool]:
            found = await client.row(TABLE, command.persona_id, as_of=moment)  # type: ignore[arg-type]
            state = found["state"]
            return (
                found["version"],
                state["name"],
                state["newest"]["background"],
                state["deleted"],
            )

        for by in ("position", "recorded_at"):
            first, second, third, last = (
                [getattr(each, by)] for each in (created, added, changed, deleted)
            )
            assert await at(*first) == (2, "First", "Reads a lot.", False)
            assert await at(*second) == (3, "First", "Reads more.", False)
            assert await at(*third) == (4, "Second", "Reads more.", False)
            assert await at(*last) == (5, "Second", "Reads more.", True)
        with pytest.raises(Missing):
            await at(created.position - created.events)


async def test_organisations_that_ask_at_once_see_their_own(stack: Stack) -> None:
    statement = "SELECT DISTINCT org_id FROM simulation_personas"
    orgs = ("first", "second")
    for org in orgs:
        async with stack.client(org=org) as client:
            await client.send(create())
    await stack.caught_up()
    for _ in range(10):
        seen = await asyncio.gather(*(stack.sql(statement, org=org) for org in orgs))
        assert seen == [[{"org_id": org}] for org in orgs]
