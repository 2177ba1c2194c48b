"""What each role runs until it is told to stop."""

import asyncio
import signal
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import structlog
from aiohttp import web

from infra.believing import admission, bearers, signing_in
from infra.calculating import Calculator
from infra.carrying import carrying
from infra.clock import new_id, now
from infra.embedded.broker import Carrier
from infra.postgres.migrations import unapplied
from infra.postgres.traces import PostgresTraces
from infra.settings import POSTGRES, Settings
from infra.wiring import (
    MASTER_KEY,
    Core,
    Urls,
    core,
    follow_erasures,
    projecting,
)
from infra.working import working
from projections.catalogue import GROUPS, TABLES
from projections.checkpoints import Watch, checkpoint
from projections.runner import spare_collector
from services.access import organisations, users
from services.accounts.accounts import Accounts
from services.dashboard.playgrounds import PlaygroundPages
from services.dashboard.web import Desk
from services.decider import AnyDecider
from services.guard import PERMISSIONS
from services.http import checks
from services.http.admin import Check
from services.http.app import make_admin_app, make_app
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.http.reading import PoolReader
from services.http.serving import serving
from services.http.snapshots import PoolSnapshots
from services.identity import Verifier
from services.playgrounds import evaluations, playgrounds
from services.routing import COMMANDS
from services.testing import (
    agents,
    metrics,
    personas,
    scenarios,
    set_runs,
    trials,
    unit_test_sets,
    unit_tests,
)


ENTITIES: Final[Mapping[str, AnyDecider]] = {
    "playgrounds.evaluation_sessions": evaluations.decider,
    "playgrounds.playgrounds": playgrounds.decider,
    "access.organisations": organisations.decider,
    "access.users": users.decider,
    "testing.agents": agents.decider,
    "testing.metrics": metrics.decider,
    "testing.simulation_personas": personas.decider,
    "testing.simulation_scenarios": scenarios.decider,
    "testing.simulation_unit_test_set_runs": set_runs.decider,
    "testing.simulation_unit_test_sets": unit_test_sets.decider,
    "testing.simulation_unit_tests": unit_tests.decider,
    "testing.trials": trials.decider,
}

Duty = Literal["project", "dispatch", "work", "intake", "relay"]

log = structlog.get_logger()


async def serve_api(settings: Settings, urls: Urls) -> None:
    """Answer HTTP until told to stop, then let requests in hand finish."""
    spare_collector()
    async with AsyncExitStack() as stack:
        stopping = stack.enter_context(stop_signals())
        parts = await stack.enter_async_context(core(settings, urls, name="api"))
        ended: dict[UUID, int] = {}
        accounts = await stack.enter_async_context(signing_in(settings, parts, ended))
        believed = await stack.enter_async_context(bearers(settings, parts, ended))
        watch = Watch(parts.pool)
        numbers = Metrics()
        limits = Limits(
            wait_seconds=settings.max_wait_seconds, proxies=settings.proxies
        )
        port = await stack.enter_async_context(
            serving(
                make_app(
                    handler=parts.handler,
                    log=parts.log,
                    blobs=parts.blobs,
                    verifier=believed.verifier,
                    reader=PoolReader(parts.pool),
                    snapshots=PoolSnapshots(parts.pool),
                    calculate=Calculator(),
                    commands=COMMANDS,
                    permissions=PERMISSIONS,
                    tables=TABLES,
                    entities=ENTITIES,
                    caught_up=watch.wait_for,
                    clock=now,
                    ids=new_id,
                    metrics=numbers,
                    secret=cursor_secret(settings),
                    limits=limits,
                    accounts=accounts,
                    pages=pages(
                        settings,
                        parts,
                        watch=watch,
                        verifier=believed.verifier,
                        limits=limits,
                        accounts=accounts,
                    ),
                    service_tokens=believed.service_tokens,
                    admission=admission(settings, parts),
                    traces=PostgresTraces(parts.pool),
                ),
                host=settings.http_host,
                port=settings.http_port,
            )
        )
        admin_port = await stack.enter_async_context(
            serving(
                _admin(parts, numbers, feeds=True),
                host=settings.admin_host,
                port=settings.admin_port,
            )
        )
        log.info("api_started", port=port, admin_port=admin_port)
        await stopping.wait()
        log.info("api_stopping")


def pages(
    settings: Settings,
    parts: Core,
    *,
    watch: Watch,
    verifier: Verifier,
    limits: Limits,
    accounts: Accounts | None,
) -> list[web.RouteDef]:
    """Return the routes of pages for people."""
    desk = Desk(
        handle=parts.handler.handle,
        verifier=verifier,
        clock=now,
        ids=new_id,
        secret=cursor_secret(settings),
        limits=limits,
        accounts=accounts,
    )
    reader = PoolReader(parts.pool)
    return PlaygroundPages(
        desk, reader=reader, folding=parts.handler, caught_up=watch.wait_for
    ).routes()


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
            admin = _admin(parts, Metrics(), feeds="project" in duties)
            await stack.enter_async_context(
                serving(admin, host=settings.admin_host, port=admin_port)
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


def cursor_secret(settings: Settings) -> bytes:
    """Return the key that signs pages' cursors, the same wherever the settings are."""
    path = settings.master_key_file or settings.data_dir / MASTER_KEY
    return sha256(b"rehearsal cursors\0" + path.read_bytes()).digest()


def _admin(parts: Core, numbers: Metrics, *, feeds: bool) -> web.Application:
    """Return what tells operators of a process, whether it feeds tables or shows them.

    Others are no less ready where the tables are behind.
    """

    async def reached(group: str) -> int:
        async with parts.pool.acquire() as session:
            return await checkpoint(session, group)

    lags = checks.measured(log=parts.log, groups=GROUPS, reached=reached, clock=now)
    looked_at: dict[str, Check] = {
        "database": checks.database(parts.pool),
        "migrations": checks.migrations(lambda: unapplied(parts.pool)),
    }
    if feeds:
        looked_at["projections"] = checks.projections(lags)
    return make_admin_app(checks=looked_at, metrics=numbers, lags=lags)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
