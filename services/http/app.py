"""The HTTP interface, assembled: which path is answered by what."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from aiohttp import web

from events.log import Blobs, EventLog
from events.message import Command
from projections.projection import Table
from services.accounts.accounts import Accounts
from services.accounts.service_tokens import ServiceTokens
from services.admission import Admission
from services.commanding import Handling
from services.decider import AnyDecider
from services.decoding import command_decoder
from services.http import asking, browsers
from services.http.admin import Admin, Check, Lags
from services.http.asyncapi import describe_messages
from services.http.auth import Auth
from services.http.blobs import BlobRoutes
from services.http.commands import Commands
from services.http.docs import Docs, Written, written
from services.http.edge import Edge
from services.http.experiments import CalculateRuns, ExperimentRoutes
from services.http.feed import Feed
from services.http.identities import IdentityRoutes
from services.http.lanes import LANE
from services.http.limits import Limits
from services.http.live import Live
from services.http.metrics import Metrics
from services.http.openapi import Permission, as_served, describe
from services.http.own_data import PATH as OWN_DATA
from services.http.own_data import OwnData, Traces
from services.http.playgrounds import CalculateStatistics, PlaygroundRoutes
from services.http.progress import ProgressRoute
from services.http.reading import Reader
from services.http.readings import Readings
from services.http.recordings import Recordings
from services.http.reliability import ReliabilityRoute
from services.http.reports import ReportRoutes
from services.http.service_tokens import ServiceTokenRoutes
from services.http.snapshots import Snapshots
from services.http.step_feed import StepFeed
from services.http.steps import StepRoutes
from services.http.tables import Tables
from services.http.turns import Turns
from services.http.waiting import CaughtUp, Waiting
from services.identity import Verifier
from services.ports import Clock, Ids


class Calculations(CalculateStatistics, CalculateRuns, Protocol):
    """What calculates elsewhere than in the process that answers."""


def make_app(
    *,
    handler: Handling,
    log: EventLog,
    blobs: Blobs,
    verifier: Verifier,
    reader: Reader,
    snapshots: Snapshots,
    calculate: Calculations,
    commands: Mapping[str, type[Command]],
    permissions: Mapping[type[Command], Permission],
    tables: Mapping[str, Table],
    entities: Mapping[str, AnyDecider],
    caught_up: CaughtUp,
    clock: Clock,
    ids: Ids,
    metrics: Metrics,
    secret: bytes,
    limits: Limits,
    accounts: Accounts | None = None,
    pages: Sequence[web.RouteDef] = (),
    service_tokens: ServiceTokens | None = None,
    admission: Admission | None = None,
    traces: Traces | None = None,
) -> web.Application:
    """Return the application that producers and dashboards talk to.

    `entities` names, for a read table with a stream per row, the decider that folds
    them. `secret` signs cursors: processes that serve one address share it. Without
    `accounts` tokens come from elsewhere, and nobody signs in here; without
    `admission` callers send as many commands as they like. `pages` are routes for
    people, beside those of machines.
    """
    identify = partial(asking.identify, verifier=verifier)
    edge = Edge(metrics=metrics, ids=ids)
    told = browsers.told(proxies=limits.proxies)
    command_routes = Commands(
        handler=handler,
        decode=command_decoder(commands.values(), limit=limits.command_bytes),
        identify=identify,
        clock=clock,
        metrics=metrics,
        edge=edge,
        limits=limits,
        told=told,
        admission=admission,
    )
    waiting = Waiting(log=log, caught_up=caught_up, seconds=limits.wait_seconds)
    live = Live(metrics=metrics, limits=limits, identify=identify)
    readings = Readings(handle=handler.handle, limits=limits, clock=clock, ids=ids)
    table_routes = Tables(
        tables=tables,
        entities=entities,
        reader=reader,
        readings=readings,
        log=log,
        waiting=waiting,
        identify=identify,
        secret=secret,
        limits=limits,
    )
    reliability = ReliabilityRoute(reader=reader, identify=identify)
    progress = ProgressRoute(
        reader=reader,
        log=log,
        waiting=waiting,
        identify=identify,
        live=live,
        limits=limits,
    )
    playgrounds = PlaygroundRoutes(
        snapshots=snapshots,
        calculate=calculate,
        waiting=waiting,
        identify=identify,
        limits=limits,
    )
    recordings, calculations = Recordings(log=log, blobs=blobs), Turns(1)
    experiments = ExperimentRoutes(
        reader=reader,
        recordings=recordings,
        calculate=calculate,
        turns=calculations,
        waiting=waiting,
        identify=identify,
    )
    reports = ReportRoutes(
        reader=reader,
        recordings=recordings,
        calculate=calculate,
        turns=calculations,
        waiting=waiting,
        identify=identify,
    )
    steps = StepRoutes(
        feed=StepFeed(reader=reader, log=log, waiting=waiting, limits=limits),
        waiting=waiting,
        identify=identify,
        live=live,
    )
    feed = Feed(
        log=log,
        readings=readings,
        identify=identify,
        live=live,
        limits=limits,
    )
    blob_routes = BlobRoutes(blobs=blobs, identify=identify, limits=limits)

    def write() -> Written:
        described = describe(
            commands=commands, permissions=permissions, tables=tables, limits=limits
        )
        served = {resource.canonical for resource in app.router.resources()}
        messages = describe_messages(described, commands)
        return written(as_served(described, served), messages)

    docs = Docs(write)
    app = web.Application(
        middlewares=[edge.middleware()],
        client_max_size=limits.body_bytes,
    )
    get = partial(web.get, allow_head=False)
    app.add_routes(
        [
            web.post("/v1/commands", command_routes.post),
            get("/v1/events", feed.events),
            get("/v1/streams/{id}", feed.stream),
            web.post("/v1/blobs", blob_routes.post),
            get("/v1/blobs/{sha256}", blob_routes.get),
            get("/v1/openapi.json", docs.openapi),
            get("/v1/asyncapi.json", docs.asyncapi),
            get("/v1/docs", docs.page),
            get("/v1/problems/{slug}", docs.problem),
            get(
                "/v1/testing/simulation_unit_test_set_runs/{id}/reliability",
                reliability.get,
            ),
            get(
                "/v1/testing/simulation_unit_test_set_runs/{id}/progress",
                progress.get,
            ),
            get("/v1/experiments/simulations/{id}/analysis", experiments.analysis),
            get("/v1/experiments/experiments/{id}/comparison", experiments.comparison),
            get("/v1/experiments/simulations/{id}/report", reports.simulation),
            get("/v1/experiments/experiments/{id}/report", reports.experiment),
            get(
                "/v1/experiments/simulations/{id}/charts/{chart}",
                reports.simulation_chart,
            ),
            get(
                "/v1/experiments/experiments/{id}/charts/{chart}",
                reports.experiment_chart,
            ),
            get("/v1/experiments/simulations/{id}/steps", steps.simulation),
            get("/v1/experiments/experiments/{id}/steps", steps.experiment),
            get("/v1/playgrounds/{id}/statistics", playgrounds.statistics),
            get("/v1/playgrounds/{id}/exports/{shape}", playgrounds.export),
            get("/v1/{context}/{table}", table_routes.rows),
            get("/v1/{context}/{table}/{id}", table_routes.row),
            *pages,
        ]
    )
    app[LANE] = command_routes
    browsers.tell(app, told)
    app.on_shutdown.append(live.close)
    if accounts is not None:
        auth = Auth(accounts=accounts, identify=identify, limits=limits)
        app.add_routes(auth.routes())
        identities = IdentityRoutes(
            identities=accounts.identities, identify=identify, limits=limits
        )
        app.add_routes(identities.routes())
        if traces is not None:
            own = OwnData(
                log=log,
                traces=traces,
                people=accounts.people,
                snapshots=snapshots,
                tables=tables,
                store=accounts.store,
                identify=identify,
                limits=limits,
            )
            app.add_routes([get(OWN_DATA, own.get)])
    if service_tokens is not None:
        issuing = ServiceTokenRoutes(
            tokens=service_tokens, identify=identify, limits=limits
        )
        app.add_routes(issuing.routes())
    return app


def make_admin_app(
    *, checks: Mapping[str, Check], metrics: Metrics, lags: Lags | None = None
) -> web.Application:
    """Return the application for operators; each check has a second to answer."""
    admin = Admin(checks=checks, metrics=metrics, lags=lags)
    app = web.Application()
    browsers.tell(app, browsers.HEADERS)
    app.add_routes(
        [
            web.get("/livez", admin.livez),
            web.get("/readyz", admin.readyz),
            web.get("/metrics", admin.metrics),
        ]
    )
    return app
