"""What speaks to other services over RabbitMQ: commands in, events out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Final

from infra.believing import admission, bearers
from infra.clock import new_id, now
from infra.embedded.broker import Carrier
from infra.postgres.letters import PostgresLetters
from infra.postgres.pool import open_pool
from infra.rabbit.events import rabbit_outlet
from infra.rabbit.intake import rabbit_inbox
from infra.rabbit.topology import Topology
from infra.settings import Settings, SettingsError
from infra.stopping import ended
from infra.wiring import Core, Urls
from infra.working import stream_of
from services.admission import Admission
from services.commanding import Batches
from services.decoding import command_decoder
from services.identity import Verifier
from services.intake.answering import Answering
from services.intake.message import Reading
from services.intake.taking import Intake
from services.routing import COMMANDS
from services.telling.relay import EventRelay, Outlet


CONNECTIONS: Final = 4
FEEDING: Final = 3


def broker_of(carrier: Carrier) -> str:
    """Return the address of the RabbitMQ, or raise `SettingsError`."""
    if carrier.url is None:
        message = "REHEARSAL_BROKER must be rabbitmq, or the address of a RabbitMQ"
        raise SettingsError(message)
    return carrier.url


def publishing(carrier: Carrier) -> AbstractAsyncContextManager[Outlet]:
    """Return what publishes events to the broker."""
    topology = Topology(carrier.namespace)
    return rabbit_outlet(broker_of(carrier), topology=topology)


def answering(
    parts: Core, believed: Verifier, admitted: Admission | None = None
) -> Answering:
    """Return what answers messages."""
    decode = command_decoder(COMMANDS.values())
    batches = Batches(handler=parts.handler, decode=decode, clock=now)
    reading = Reading(batches=batches, decode=decode, verifier=believed, clock=now)
    return Answering(
        reading=reading,
        batches=batches,
        handler=parts.handler,
        stream_of=stream_of,
        clock=now,
        admission=admitted,
    )


@asynccontextmanager
async def taking(
    settings: Settings, urls: Urls, parts: Core, *, carrier: Carrier
) -> AsyncIterator[asyncio.Task[None]]:
    """Take commands from the broker while inside.

    The task that does so ends only by failing; whoever waits long should wait for it.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(
            await open_pool(
                urls.app,
                min_size=1,
                max_size=CONNECTIONS,
                application_name="rehearsal letters",
            )
        )
        believed = await enter(bearers(settings, parts))
        topology = Topology(carrier.namespace)
        inbox = await enter(rabbit_inbox(broker_of(carrier), topology=topology))
        intake = Intake(
            inbox=inbox,
            answering=answering(parts, believed.verifier, admission(settings, parts)),
            letters=PostgresLetters(pool),
            grace=settings.shutdown_seconds,
        )
        task = asyncio.create_task(intake.run(stop), name="intake")
        try:
            yield task
        finally:
            stop.set()
            await ended(task, grace=settings.shutdown_seconds)


@asynccontextmanager
async def relaying(
    urls: Urls, parts: Core, *, carrier: Carrier
) -> AsyncIterator[asyncio.Task[None]]:
    """Publish the log to the broker while inside, unless another does.

    The task that does so ends only by failing; whoever waits long should wait for it.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(
            await open_pool(
                urls.projector,
                min_size=1,
                max_size=FEEDING,
                application_name="rehearsal relay",
            )
        )
        outlet = await enter(publishing(carrier))
        relay = EventRelay(parts.log, pool, outlet, owner=new_id())
        task = asyncio.create_task(relay.run(stop), name="relay")
        try:
            yield task
        finally:
            stop.set()
            await ended(task)
