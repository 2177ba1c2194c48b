"""Prepares a database in a process that ends, for one that stays and is to stay small.

Alembic and the read tables' declarations cost tens of megabytes that a supervisor
needs once. So this module imports neither.
"""

import asyncio
import sys

import msgspec

from infra.settings import SetupError


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that furnishes reads from its standard input."""

    owner: str
    projector: str


async def furnish_apart(*, owner: str, projector: str) -> None:
    """Do the same in a process that ends, for one that stays and need not keep Alembic.

    Raises `SetupError` with that process's last words.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.furnishing"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    addresses = Addresses(owner=owner, projector=projector)
    _, said = await child.communicate(msgspec.json.encode(addresses))
    if child.returncode:
        lines = said.decode(errors="replace").strip().splitlines()
        message = f"the database could not be prepared: {lines[-1] if lines else ''}"
        raise SetupError(message)
