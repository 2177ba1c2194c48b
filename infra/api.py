"""What the API runs until it is told to stop, and what tells operators of a role."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from hashlib import sha256
from typing import Final
from uuid import UUID

import structlog
from aiohttp import web

from infra.believing import admission, bearers, signing_in
from infra.calculating import Calculator
from infra.clock import new_id, now
from infra.postgres.migrations import unapplied
from infra.postgres.traces import PostgresTraces
from infra.settings import Settings
from infra.stopping import stop_signals
from infra.wiring import (
    MASTER_KEY,
    Core,
    Urls,
    core,
)
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
            telling_operators(
                settings, parts, numbers, port=settings.admin_port, feeds=True
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


def telling_operators(
    settings: Settings,
    parts: Core,
    numbers: Metrics | None = None,
    *,
    port: int,
    feeds: bool,
) -> AbstractAsyncContextManager[int]:
    """Serve what tells operators of a process, and yield its port."""
    admin = _admin(parts, numbers or Metrics(), feeds=feeds)
    return serving(admin, host=settings.admin_host, port=port)


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


def cursor_secret(settings: Settings) -> bytes:
    """Return the key that signs pages' cursors, the same wherever the settings are."""
    path = settings.master_key_file or settings.data_dir / MASTER_KEY
    return sha256(b"rehearsal cursors\0" + path.read_bytes()).digest()
