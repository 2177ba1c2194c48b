"""A role of the system as the campaign runs it: `python -m tests.chaos.work.role`.

It is the role of the command line, whose trials take their time between two turns, as
with a model they would, so that kills find them in the middle. A safeguard that lives
in a process is taken out here; those that live in the database are in `recording`.
"""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Final
from unittest.mock import patch

from aio_pika.abc import AbstractChannel

from infra.cli import app
from infra.postgres.work import PostgresWork
from infra.rabbit.connection import Link
from services.engines.dialogue.draw import Draw
from services.work import trials
from services.work.cases import Case


THINKING: Final = 0.12  # seconds, at most
NEVER: Final = timedelta(days=1)

take_turn: Final = trials.take_turn
open_channel: Final = Link.open_channel
_random: Final = Random()  # noqa: S311 - how long somebody thinks


async def think(case: Case, conversation: trials.Conversation, draw: Draw) -> None:
    """Take a turn, not at once."""
    await asyncio.sleep(_random.uniform(0, THINKING))
    await take_turn(case, conversation, draw)


async def open_unconfirmed(link: Link, **_: object) -> AbstractChannel:
    """Open a channel on which the broker confirms nothing."""
    return await open_channel(link)


async def recall_nothing(*_: object, **__: object) -> int:
    """Leave what was offered as it is."""
    return 0


def trust_the_broker() -> None:
    """Take out what confirms that a reference arrived, and what makes up for it.

    Without confirms alone, what is lost is offered again, and nobody is harmed.
    """
    patch.dict(PostgresWork.__init__.__kwdefaults__ or {}, again=NEVER).start()
    patch.object(PostgresWork, "recall", recall_nothing).start()
    patch.object(Link, "open_channel", open_unconfirmed).start()


def main(arguments: Sequence[str]) -> None:
    """Run a role: its name, and `confirm` where that is taken out."""
    role, *without = arguments
    patch.object(trials, "take_turn", think).start()
    if "confirm" in without:
        trust_the_broker()
    sys.exit(app([role]))


if __name__ == "__main__":
    main(sys.argv[1:])
