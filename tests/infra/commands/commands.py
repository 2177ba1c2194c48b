"""Commands as people write them into files, and what became of them."""

from pathlib import Path
from uuid import UUID

import msgspec

from infra.embedded import running_stack
from infra.operations.querying import query
from infra.postgres.pool import open_pool
from projections.checkpoints import Watch
from tests.builders import new_id


PATIENCE = 20.0
HEAD = "SELECT coalesce(max(last_position), 0) FROM es.flushes"
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
    """Return the names of the personas, in the order in which they were made.

    These are shown once the read tables hold all that the log holds now.
    """
    addresses = running_stack(data_dir)
    assert addresses is not None
    pool = await open_pool(
        addresses.owner, min_size=1, max_size=1, application_name="tests"
    )
    async with pool:
        async with pool.acquire() as session:
            head = await session.fetchval(HEAD)
        assert await Watch(pool).wait_for("testing", head, PATIENCE) >= head
    found = await query(
        owner=addresses.owner,
        reader=addresses.reader,
        schema="testing",
        statement=NAMES,
        org_id=org,
    )
    return [row["name"] for row in found.rows]
