"""Doing the work of a log in this process: dispatcher and relay, worker, or all three.

Any number of processes may do so at the same time: one dispatcher of all is at work,
relays and workers share what there is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from events.message import Command
from infra.clock import new_id, now
from infra.embedded.broker import Carrier
from infra.populations import open_populations
from infra.postgres.chime import open_chime
from infra.postgres.pool import Pool, open_pool
from infra.postgres.sign_in import PostgresStore
from infra.postgres.transport import open_transport
from infra.postgres.work import PostgresWork
from infra.stopping import ended
from infra.wiring import Core, Urls
from services import guard
from services.accounts.secrets import Secrets
from services.handling import Handler
from services.ports import Transport
from services.routing import DECIDER_OF
from services.work.dispatching import Dispatcher
from services.work.following import ON_FAILURE, REACTIONS
from services.work.relaying import Relay
from services.work.working import Worker


TAKING: Final = 16  # connections
RELAYING: Final = 4
FEEDING: Final = 3
STREAMS: Final = 1_000  # in the cache: of what was finished nothing is asked again

Duty = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def transport_of(
    carrier: Carrier, urls: Urls
) -> AbstractAsyncContextManager[Transport]:
    """Return the transport over what carries work."""
    if carrier.url is None:
        return open_transport(urls.app, direct_dsn=urls.direct)
    from infra.rabbit.topology import Topology  # noqa: PLC0415 - large
    from infra.rabbit.transport import rabbit_transport  # noqa: PLC0415 - large

    return rabbit_transport(carrier.url, topology=Topology(carrier.namespace))


@asynccontextmanager
async def working(
    urls: Urls,
    parts: Core,
    *,
    carrier: Carrier,
    data_dir: Path,
    lease_seconds: float = 30.0,
    dispatch: bool = True,
    work: bool = True,
) -> AsyncIterator[asyncio.Task[None]]:
    """Dispatch and relay, or work, or all of it, while inside.

    The task that does so ends only by failing; whoever waits long should wait for it.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(await _pool(urls.app, TAKING if work else RELAYING))
        chime = await enter(open_chime(pool, urls.direct))
        transport = await enter(transport_of(carrier, urls))
        jobs = PostgresWork(pool, chime)
        handler = Handler(
            log=parts.log,
            deciders=DECIDER_OF,
            guard=guard.check_system,
            cached_streams=STREAMS,
        )
        duties: list[Duty] = []
        if dispatch:
            feeding = await enter(await _pool(urls.projector, FEEDING))
            dispatcher = Dispatcher(
                parts.log,
                feeding,
                reactions=REACTIONS,
                handle=handler.handle,
                stream_of=stream_of,
                jobs=jobs,
                owner=new_id(),
            )
            relay = Relay(jobs, transport, on_failure=ON_FAILURE, handle=handler.handle)
            duties += [dispatcher.run, relay.run]
        if work:
            from services.work.kinds import kinds, tools  # noqa: PLC0415 - large

            secrets = Secrets(await parts.vault.secret("accounts"))
            populations = await enter(open_populations(data_dir))
            worker = Worker(
                kinds(ttl=timedelta(seconds=lease_seconds)),
                tools(
                    log=parts.log,
                    blobs=parts.blobs,
                    handler=handler,
                    sessions=PostgresStore(parts.pool, ended={}),
                    key=secrets.address,
                    clock=now,
                    populations=populations,
                ),
                work=jobs,
                transport=transport,
                owner=new_id(),
                clock=now,
            )
            duties.append(worker.run)

        async def run() -> None:
            async with asyncio.TaskGroup() as tasks:
                for duty in duties:
                    tasks.create_task(duty(stop))

        task = asyncio.create_task(run(), name="work")
        try:
            yield task
        finally:
            stop.set()
            await ended(task)


async def _pool(url: str, size: int) -> Pool:
    return await open_pool(
        url, min_size=1, max_size=size, application_name="rehearsal work"
    )


def stream_of(command: Command, org_id: str) -> str:
    """Return the name of the stream that an organisation's command is for."""
    return DECIDER_OF[type(command)].stream(command, org_id)
