"""Asks a broker who it is, and whether it lets us in and is fit, in its own process."""

import asyncio
import sys

from events.errors import Unavailable
from infra.logs import configure_logs
from infra.rabbit.connection import Link
from infra.settings import SetupError


async def version_of(url: str) -> str:
    """Return a broker's version; raise `SetupError` or `Unavailable` otherwise."""
    link = Link(url, name="rehearsal probe")
    await link.open()
    try:
        return link.capabilities.version if link.capabilities else ""
    finally:
        await link.close()


def main() -> None:
    """Ask the broker whose address comes on standard input."""
    configure_logs(level="error")
    try:
        print(asyncio.run(version_of(sys.stdin.read())))  # noqa: T201 - the answer
    except (SetupError, Unavailable, ValueError) as error:
        print(error)  # noqa: T201 - the answer
        sys.exit(1)


if __name__ == "__main__":
    main()
