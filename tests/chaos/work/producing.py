"""A producer that knows AMQP alone, and asks until it is answered."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aio_pika
import msgspec
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError

from events.message import Command
from infra.clock import new_id, now
from infra.settings import Settings
from infra.tokens import Issuer, development_key


EXCHANGE: Final = "rehearsal.commands"
ACCEPTED: Final = {"ok", "duplicate"}
PATIENCE: Final = 8.0  # seconds, until it asks again
PAUSE: Final = 0.3
HOURS: Final = timedelta(hours=6)
AWAY: Final = (*CONNECTION_EXCEPTIONS, DeliveryError, TimeoutError)


class RefusedError(Exception):
    """The command was answered with a problem."""


class Producer:
    """Sends commands one after the other, each under one id."""

    def __init__(self, url: str, *, keys: Path, org: str, actor: str) -> None:
        self.asked_again = 0
        self._url = url
        defaults = Settings()
        issuer = Issuer(
            development_key(keys),
            issuer=defaults.token_issuer,
            audience=defaults.token_audience,
            clock=now,
        )
        token = issuer.issue(actor, org=org, roles=("admin",), lifetime=HOURS)
        self._headers: dict[str, Any] = {"authorization": f"Bearer {token}"}

    async def ask(self, command: Command) -> None:
        """Return once a command is accepted, or raise what it is answered."""
        key = str(new_id())
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await self._ask(command, key)
            except AWAY:
                self.asked_again += 1
                await asyncio.sleep(PAUSE)
                continue
            if answer.get("status") in ACCEPTED:
                return
            raise RefusedError(answer)

    async def _ask(self, command: Command, key: str) -> dict[str, Any]:
        body = msgspec.json.encode(command)
        async with await aio_pika.connect(self._url) as connection:
            channel = await connection.channel(on_return_raises=True)
            replies = await channel.declare_queue(exclusive=True)
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            message = aio_pika.Message(
                body,
                headers=self._headers,
                content_type="application/json",
                message_id=key,
                reply_to=replies.name,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await exchange.publish(message, msgspec.json.decode(body)["type"])
            async with replies.iterator(no_ack=True) as incoming:
                reply = await anext(incoming)
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
        return answer
