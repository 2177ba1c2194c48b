"""What each role but the API runs until it is told to stop.

Nothing here speaks HTTP unless a port for operators is asked for, and nothing is
imported that does: what these processes hold is small.
"""

import asyncio
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Literal

import structlog

from infra.buffers import give_back_buffers
from infra.carrying import carrying
from infra.embedded.broker import Carrier
from infra.settings import POSTGRES, Settings
from infra.stopping import stop_signals
from infra.wiring import (
    Core,
    Urls,
    core,
    follow_erasures,
    projecting,
)
from infra.working import working
from projections.runner import spare_collector


Duty = Literal["project", "dispatch", "work", "intake", "relay"]

log = structlog.get_logger()


async def serve_projections(
    settings: Settings, urls: Urls, *, admin_port: int | None = None
) -> None:
    """Feed the read tables and follow erasures until told to stop."""
    await _serve(
        settings, urls, name="project", duties={"project"}, admin_port=admin_port
    )


async def serve_dispatch(
    settings: Settings, urls: Urls, *, admin_port: int | None = None
) -> None:
    """Ask for what events ask for, and tell the workers of it, until told to stop."""
    await _serve(
        settings, urls, name="dispatch", duties={"dispatch"}, admin_port=admin_port
    )


async def serve_work(
    settings: Settings, urls: Urls, *, admin_port: int | None = None
) -> None:
    """Do jobs until told to stop."""
    await _serve(settings, urls, name="work", duties={"work"}, admin_port=admin_port)


async def serve_background(settings: Settings, urls: Urls) -> None:
    """Do in one process what a small stack does behind its API, until told to stop."""
    duties: set[Duty] = {"project", "dispatch", "work"}
    if settings.broker not in {None, POSTGRES}:
        duties |= {"intake", "relay"}
    await _serve(settings, urls, name="background", duties=duties)


async def serve_intake(
    settings: Settings, urls: Urls, *, admin_port: int | None = None
) -> None:
    """Take commands from the broker until told to stop."""
    await _serve(
        settings, urls, name="intake", duties={"intake"}, admin_port=admin_port
    )


async def serve_relay(
    settings: Settings, urls: Urls, *, admin_port: int | None = None
) -> None:
    """Publish what happened to the broker until told to stop."""
    await _serve(settings, urls, name="relay", duties={"relay"}, admin_port=admin_port)


async def _serve(
    settings: Settings,
    urls: Urls,
    *,
    name: str,
    duties: AbstractSet[Duty],
    admin_port: int | None = None,
) -> None:
    spare_collector()
    if "work" in duties:
        give_back_buffers()
    async with AsyncExitStack() as stack:
        stopping = stack.enter_context(stop_signals())
        parts = await stack.enter_async_context(core(settings, urls, name=name))
        tasks: list[asyncio.Task[None]] = []
        if "project" in duties:
            tasks.append(await stack.enter_async_context(projecting(urls, parts)))
            following = asyncio.create_task(follow_erasures(settings, parts))
            stack.push_async_callback(_end, following)
            tasks.append(following)
        if duties - {"project"}:
            carrier = await stack.enter_async_context(carrying(settings))
            doing = _carried(settings, urls, parts, carrier, duties)
            tasks += [await stack.enter_async_context(each) for each in doing]
        if admin_port is not None:
            from infra.api import telling_operators  # noqa: PLC0415 - large

            await stack.enter_async_context(
                telling_operators(
                    settings, parts, port=admin_port, feeds="project" in duties
                )
            )
        log.info("role_ready", role=name)
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        log.info("role_stopping", role=name)


def _carried(
    settings: Settings,
    urls: Urls,
    parts: Core,
    carrier: Carrier,
    duties: AbstractSet[Duty],
) -> Iterator[AbstractAsyncContextManager[asyncio.Task[None]]]:
    """Yield the duties that need what carries messages, to be entered."""
    if duties & {"dispatch", "work"}:
        yield working(
            urls,
            parts,
            carrier=carrier,
            data_dir=settings.data_dir,
            lease_seconds=settings.lease_seconds,
            dispatch="dispatch" in duties,
            work="work" in duties,
        )
    if "intake" in duties:
        from infra.messaging import taking  # noqa: PLC0415 - large

        yield taking(settings, urls, parts, carrier=carrier)
    if "relay" in duties:
        from infra.messaging import relaying  # noqa: PLC0415 - large

        yield relaying(urls, parts, carrier=carrier)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
