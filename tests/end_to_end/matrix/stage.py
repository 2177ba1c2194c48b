"""The worlds on a database, served as they are, and by an interface without a guard."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec
from aiohttp import web

from events.message import ERASED, SEALED, Command, Meta
from events.roles import AREAS, PLATFORM, ROLES
from infra import wiring
from infra.clock import new_id
from infra.furnishing import furnish
from infra.postgres.pool import open_pool
from infra.tokens import Issuer
from infra.wiring import Core, Urls, core
from projections.catalogue import GROUPS, TABLES
from projections.ddl import qualified, view_name
from projections.projection import Column
from projections.runner import GroupRunner
from services.experiments.analysis.recording import AnyRecording, Subject
from services.experiments.analysis.results import Drawn, Report
from services.handling import Handler
from services.http.limits import Limits
from services.http.serving import serving
from services.playgrounds.statistics.records import Evaluations, Options
from services.routing import DECIDER_OF
from tests.end_to_end.matrix.oracle import Asker, Oracle, Row
from tests.end_to_end.matrix.worlds import WORLDS, World, happen
from tests.end_to_end.stack import application, signed
from tests.postgres_ladder import Database


Key = tuple[str, ...]

PLAIN: Final[Sequence[frozenset[str]]] = (
    frozenset(),
    frozenset({PLATFORM}),
    *(frozenset({role}) for role in ROLES),
)
OF_AREAS: Final[Sequence[frozenset[str]]] = [
    frozenset({f"{area}:{role}"}) for area, role in product(AREAS, ROLES)
]
LIMITS: Final = Limits(proxies=1, feeds_per_actor=10_000)
EVERY_ROLE: Final = (*PLAIN, *OF_AREAS)


class Nothing:
    """Calculates nothing, since only who may ask is of interest here."""

    async def statistics(self, _data: Evaluations, _options: Options) -> bytes:
        """Return what a playground's evaluations say."""
        return b"{}"

    async def analysis(self, _run: AnyRecording, _least_severity: float) -> bytes:
        """Return what a run says."""
        return b"{}"

    async def contrasts(self, _runs: Sequence[AnyRecording]) -> bytes:
        """Return how the conditions of an experiment differ."""
        return b"{}"

    async def report(
        self, subject: Subject, _runs: Sequence[AnyRecording], whole: AnyRecording
    ) -> bytes:
        """Return a report that says nothing, with one chart."""
        report = Report(
            title=subject.title,
            about={},
            position=whole.position,
            charts=[],
            missing=[],
            findings=[],
        )
        return msgspec.json.encode(
            Drawn(report=report, page="", charts={"population": b"nothing"})
        )


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody of a world, whatever roles they come with."""

    name: str
    world: World

    def asker(self, roles: frozenset[str]) -> Asker:
        return Asker(
            org=self.world.org,
            actor=self.world.actor(self.name),
            roles=roles,
            email=self.world.email(self.name),
        )


OWNER, TESTER, STRANGER, FOREIGNER = PEOPLE = (
    Person(name="mila", world=WORLDS[0]),
    Person(name="tess", world=WORLDS[0]),
    Person(name="mila", world=WORLDS[1]),
    Person(name="mila", world=WORLDS[2]),
)


@dataclass(kw_only=True)
class Stage:
    """The worlds, where they are served, and all that their tables hold.

    `rows` are those of the tables themselves, `views` what their views show where no
    policy holds. `open_url` is served without a guard.
    """

    urls: Urls
    url: str
    open_url: str
    http: aiohttp.ClientSession
    superuser: Any
    routes: frozenset[tuple[str, str]]
    issuer: Issuer
    body: str
    position: int
    physical: Mapping[str, str]
    rows: Mapping[str, Sequence[Row]]
    views: Mapping[str, Sequence[Row]]
    known: dict[tuple[str, Asker], set[Key]] = field(default_factory=dict)
    tokens: dict[Asker, str] = field(default_factory=dict)

    @cached_property
    def oracle(self) -> Oracle:
        return Oracle(TABLES, self.rows)

    @cached_property
    def shown(self) -> Mapping[str, Sequence[tuple[Key, Key]]]:
        """Return the keys of each view's rows, in the table and in the view."""
        return {
            name: [
                (key_of(row, table.key), key_of(row, table.shown_key))
                for row in self.views[name]
            ]
            for name, table in TABLES.items()
        }

    def token(self, asker: Asker) -> str:
        if asker not in self.tokens:
            self.tokens[asker] = self.issuer.issue(
                asker.actor, org=asker.org, roles=asker.roles, email=asker.email
            )
        return self.tokens[asker]

    def proved_email(self, person: Person) -> str | None:
        """Return the address by which a login of somebody's own is known."""
        for row in self.rows["access.users"]:
            if str(row["id"]) == person.asker(frozenset()).id and row["is_verified"]:
                return str(row["email"])
        return None

    def expected(self, name: str, asker: Asker) -> set[Key]:
        """Return the keys of the rows that somebody sees of a view."""
        if (name, asker) not in self.known:
            table = TABLES[name]
            own = {key_of(row, table.key) for row in self.rows[name]}
            seen = {key_of(row, table.key) for row in self.oracle.seen(name, asker)}
            # Some views show rows of other tables too, under the same policy.
            others = [
                row for row in self.views[name] if key_of(row, table.key) not in own
            ]
            seen |= {
                key_of(row, table.key)
                for row in self.oracle.among(table, others, asker)
            }
            self.known[name, asker] = {
                shown for key, shown in self.shown[name] if key in seen
            }
        return self.known[name, asker]

    def hidden(self, name: str, asker: Asker) -> dict[Key, dict[str, object]]:
        """Return what the columns with predicates of their own show to somebody."""
        table = TABLES[name]
        return {
            key_of(row, table.key): {
                column.name: row[column.name]
                if self.oracle.holds(column.visible, row, asker)
                else closed(column, row[column.name])
                for column in table.columns
                if column.visible is not None
            }
            for row in self.oracle.seen(name, asker)
        }


def closed(column: Column, value: object) -> object:
    """Return what stands in the place of a value that somebody is not shown."""
    return SEALED if column.personal and value not in {None, ERASED} else None


def key_of(row: Row, names: Iterable[str]) -> Key:
    return tuple(str(row[name]) for name in names)


@cache
def foreign_marks(org: str) -> frozenset[bytes]:
    """Return what no answer to an organisation may hold."""
    return frozenset().union(*(world.marks for world in WORLDS if world.org != org))


@asynccontextmanager
async def open_stage(database: Database, folder: Path) -> AsyncIterator[Stage]:
    """Yield the stage, with its files in a folder."""
    settings, issuer = signed(database, folder)
    async with AsyncExitStack() as opened:
        urls = await opened.enter_async_context(wiring.database(settings))
        await furnish(owner=urls.owner, projector=urls.projector)
        api = await opened.enter_async_context(core(settings, urls, name="api"))
        body = await happen(api, WORLDS)
        await _project(urls, api)
        superuser = await asyncpg.connect(database.superuser)
        opened.push_async_callback(superuser.close)
        await superuser.execute("ANALYZE")
        physical = await _physical(superuser)
        unguarded = Handler(log=api.log, deciders=DECIDER_OF, guard=let_through)
        app = await opened.enter_async_context(
            application(settings, api, calculate=Nothing(), limits=LIMITS)
        )
        open_app = await opened.enter_async_context(
            application(
                settings,
                replace(api, handler=unguarded),
                calculate=Nothing(),
                limits=LIMITS,
            )
        )
        yield Stage(
            urls=urls,
            url=await opened.enter_async_context(_served(app)),
            open_url=await opened.enter_async_context(_served(open_app)),
            routes=frozenset(
                (route.method, route.resource.canonical)
                for route in app.router.routes()
                if route.resource is not None
            ),
            http=await opened.enter_async_context(aiohttp.ClientSession()),
            superuser=superuser,
            issuer=issuer,
            body=body,
            position=(await api.log.head()).position,
            physical=physical,
            rows={
                name: await _all_of(superuser, qualified(table, physical[name]))
                for name, table in TABLES.items()
            },
            views={
                name: await _all_of(superuser, view_name(table))
                for name, table in TABLES.items()
            },
        )


def let_through(_command: Command, _meta: Meta) -> None:
    """Guard nothing."""


@asynccontextmanager
async def _served(app: web.Application) -> AsyncIterator[str]:
    async with serving(app, host="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}"


async def _project(urls: Urls, api: Core) -> None:
    head = await api.log.head()
    pool = await open_pool(
        urls.projector, min_size=1, max_size=3, application_name="tests"
    )
    async with pool:
        for group in GROUPS.values():
            runner = GroupRunner(group, api.log, pool, owner=new_id())
            await runner.catch_up(head.position)


async def _all_of(superuser: Any, name: str) -> Sequence[Row]:  # noqa: ANN401 - a connection
    return [dict(row) for row in await superuser.fetch(f"SELECT * FROM {name}")]  # noqa: S608 - names of the catalogue


async def _physical(superuser: Any) -> dict[str, str]:  # noqa: ANN401 - a connection
    rows = await superuser.fetch(
        "SELECT name, physical FROM es.projections WHERE state = 'live'"
    )
    return dict(rows)
