"""Commands as people write them into files, and what became of them."""

from pathlib import Path
from uuid import UUID

import msgspec

from infra.embedded import running_stack
from infra.operations.querying import query
from tests.builders import new_id


NAMES = "SELECT name FROM simulation_personas WHERE NOT is_deleted ORDER BY created_at"


def create(name: str, persona_id: UUID | None = None) -> bytes:
    """Return the JSON of a command that makes a persona."""
    return msgspec.json.encode(
        {
            "type": "testing.CreatePersona",
            "persona_id": persona_id or new_id(),
            "name": name,
            "role": "borrower",
            "background": "Reads a lot.",
        }
    )


def rename(name: str, persona_id: UUID) -> bytes:
    """Return the JSON of a command that names a persona anew."""
    return msgspec.json.encode(
        {
            "type": "testing.ChangePersonaDetails",
            "persona_id": persona_id,
            "name": name,
        }
    )


async def names(data_dir: Path, *, org: str = "local") -> list[str]:
    """Return the names of the personas, in the order in which they were made."""
    addresses = running_stack(data_dir)
    assert addresses is not None
    found = await query(
        owner=addresses.owner,
        reader=addresses.reader,
        schema="testing",
        statement=NAMES,
        org_id=org,
    )
    return [row["name"] for row in found.rows]
