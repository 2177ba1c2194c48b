"""Events that a table refuses wait, alone; what is repaired applies in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from events.errors import Missing
from events.ids import PersonaId
from projections.catalogue import TABLES
from projections.ddl import qualified
from services.client.client import Client
from services.testing.personas import (
    AddPersonaVersion,
    ChangePersonaDetails,
    CreatePersona,
)
from tests.builders import new_id
from tests.end_to_end.stack import Stack, assert_whole


TABLE = "testing.simulation_personas"
PHYSICAL = qualified(TABLES[TABLE], TABLES[TABLE].physical)
POISON = "Not to be stored"


@asynccontextmanager
async def refusing(stack: Stack) -> AsyncIterator[None]:
    """Let the table refuse a name while inside."""
    await stack.as_superuser(
        f"ALTER TABLE {PHYSICAL} ADD CONSTRAINT picky "
        f"CHECK (name NOT LIKE '{POISON}%') NOT VALID"
    )
    try:
        yield
    finally:
        await stack.as_superuser(f"ALTER TABLE {PHYSICAL} DROP CONSTRAINT picky")


async def create(client: Client, name: str) -> PersonaId:
    persona_id = PersonaId(new_id())
    await client.send(
        CreatePersona(
            persona_id=persona_id, name=name, role="borrower", background="First."
        )
    )
    return persona_id


async def change(client: Client, persona_id: PersonaId, name: str) -> int:
    """Change a persona twice, and return the position of the last change."""
    await client.send(AddPersonaVersion(persona_id=persona_id, background="Second."))
    outcome = await client.send(ChangePersonaDetails(persona_id=persona_id, name=name))
    return outcome.position


def key(persona_id: UUID) -> str:
    return f"testing.persona-{persona_id}"


async def test_a_refused_row_parks_its_stream_and_nothing_else(stack: Stack) -> None:
    async with stack.client() as client:
        async with refusing(stack):
            poisoned = await create(client, POISON)
            position = await change(client, poisoned, f"{POISON}, too")
            healthy = await create(client, "Fine")
            last = await change(client, healthy, "Fine, too")
            await stack.caught_up()

            row = await client.row(TABLE, healthy, min_position=last)
            assert (row["name"], row["latest_version"]) == ("Fine, too", 2)
            with pytest.raises(Missing):
                await client.row(TABLE, poisoned, min_position=position)
            (parked,) = await stack.operations.parked()
            waiting = await stack.operations.parked(waiting=True)
            assert (parked.feed, parked.key) == ("testing", key(poisoned))
            assert parked.type == "testing.PersonaCreated"
            assert parked.error is not None
            assert "picky" in parked.error
            assert [each.type.removeprefix("testing.") for each in waiting] == [
                "PersonaCreated",
                "PersonaVersionAdded",
                "PersonaVersionAdded",
                "PersonaDetailsChanged",
            ]

            (retried,) = await stack.operations.retry("testing", key(poisoned))
            assert [each.position for each in retried.left] == [
                each.position for each in waiting
            ]
            assert retried.left[0].attempts == parked.attempts + 1

        (retried,) = await stack.operations.retry("testing")
        assert retried.left == []
        row = await client.row(TABLE, poisoned)
    assert (row["name"], row["latest_version"]) == (f"{POISON}, too", 2)
    assert row["latest_version_background"] == "Second."
    await assert_whole(stack)


async def test_what_is_skipped_is_left_out_of_every_build(stack: Stack) -> None:
    async with stack.client() as client:
        mended = await create(client, "Fine")
        async with refusing(stack):
            await change(client, mended, POISON)
            # In one page with the next change it would never be written.
            await stack.caught_up()
            last = await change(client, mended, "Fine again")
            await stack.caught_up()
            assert (await client.row(TABLE, mended, min_position=last))[
                "name"
            ] == "Fine"
            found = await stack.operations.skip(
                "testing", key(mended), reason="Nobody is called so."
            )
            assert found.left == []
        row = await client.row(TABLE, mended)
    assert row["name"] == "Fine again"
    (skipped,) = await stack.as_superuser("SELECT * FROM es.skipped")
    assert (skipped["key"], skipped["by"]) == (key(mended), "user:tests")
    assert skipped["reason"] == "Nobody is called so."
