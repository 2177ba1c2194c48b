"""Doing the work of a log in this process: dispatcher, relay and worker together.

Each may also run in other processes at the same time: one dispatcher of all is at work,
relays and workers share what there is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Final

from events.message import Command
from infra.clock import new_id, now
from infra.postgres.chime import open_chime
from infra.postgres.pool import open_pool
from infra.postgres.transport import open_transport
from infra.postgres.work import PostgresWork
from infra.rabbit.transport import rabbit_transport
from infra.wiring import Core, Urls
from services import guard
from services.handling import Handler
from services.ports import Transport
from services.routing import DECIDER_OF
from services.testing.reactions import ON_FAILURE, REACTIONS
from services.work.dispatching import Dispatcher
from services.work.kinds import kinds, tools
from services.work.relaying import Relay
from services.work.working import Worker


POSTGRES: Final = "postgres"
CONNECTIONS: Final = 16


def transport_of(broker: str, urls: Urls) -> AbstractAsyncContextManager[Transport]:
    """Return the transport over a broker: `postgres`, or an address of a RabbitMQ."""
    if broker == POSTGRES:
        return open_transport(urls.app, direct_dsn=urls.direct)
    return rabbit_transport(broker)


@asynccontextmanager
async def working(
    urls: Urls, parts: Core, *, broker: str = POSTGRES
) -> AsyncIterator[asyncio.Task[None]]:
    """Dispatch, relay and work while inside.

    The task that does so ends only by failing; whoever waits long should wait for it.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        feeding, taking = [
            await enter(
                await open_pool(
                    url,
                    min_size=1,
                    max_size=size,
                    application_name="rehearsal work",
                )
            )
            for url, size in ((urls.projector, 3), (urls.app, CONNECTIONS))
        ]
        chime = await enter(open_chime(taking, urls.direct))
        transport = await enter(transport_of(broker, urls))
        work = PostgresWork(taking, chime)
        handler = Handler(log=parts.log, deciders=DECIDER_OF, guard=guard.check_system)
        dispatcher = Dispatcher(
            parts.log,
            feeding,
            reactions=REACTIONS,
            handle=handler.handle,
            stream_of=stream_of,
            jobs=work,
            owner=new_id(),
        )
        relay = Relay(work, transport, on_failure=ON_FAILURE, handle=handler.handle)
        worker = Worker(
            kinds(),
            tools(log=parts.log, blobs=parts.blobs, handler=handler, clock=now),
            work=work,
            transport=transport,
            owner=new_id(),
            clock=now,
        )

        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(dispatcher.run(stop), name="dispatcher")
                tasks.create_task(relay.run(stop), name="relay")
                tasks.create_task(worker.run(stop), name="worker")

        task = asyncio.create_task(run(), name="work")
        try:
            yield task
        finally:
            stop.set()
            await task


def stream_of(command: Command) -> str:
    """Return the name of the stream that a command is for."""
    return DECIDER_OF[type(command)].stream(command)
