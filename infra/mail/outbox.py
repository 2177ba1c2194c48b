"""Mail into a folder, one file for each letter: for machines that send none."""

import asyncio
import os
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from typing import Final

from events.errors import Unavailable
from infra.mail.letters import as_message
from infra.settings import Settings
from services.accounts.ports import Letter
from services.ports import Clock, Ids


OUTBOX: Final = "outbox"  # of a data directory


class Outbox:
    """Writes letters into a folder that only its owner reads, oldest first by name."""

    def __init__(self, folder: Path, *, sender: str, clock: Clock, ids: Ids) -> None:
        self._folder = folder
        self._sender = sender
        self._clock = clock
        self._ids = ids

    async def send(self, letter: Letter) -> None:
        """Write a letter, or raise `Unavailable`."""
        message = as_message(letter, sender=self._sender, sent_at=self._clock())
        try:
            await asyncio.to_thread(self._write, message)
        except OSError as error:
            why = f"A letter cannot be written to {self._folder}: {error.strerror}."
            raise Unavailable(why) from error

    def _write(self, message: EmailMessage) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        moment = self._clock().astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        name = f"{moment}-{self._ids()}.eml"
        draft = self._folder / f".{name}.draft"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(message.as_bytes(policy=SMTPUTF8))
        draft.rename(self._folder / name)


def outbox(settings: Settings) -> Path | None:
    """Return the folder of letters, if a stack on this machine writes into one."""
    if settings.mail_server is not None or not settings.embedded:
        return None
    return settings.data_dir / OUTBOX
