"""A whole stack on a database of the ladder, put together as the roles put it together.

HTTP is served by one core; another feeds the read tables and follows erasures, as in a
process of its own. `assert_whole` is the last word of every end-to-end run: rebuilt
tables equal the live ones byte for byte, and the log is what it was.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import asyncpg
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from events.message import Event, Meta, Recorded
from infra import wiring
from infra.api import ENTITIES, cursor_secret, pages
from infra.believing import Bearers, admission, bearers, signing_in
from infra.calculating import Calculator
from infra.clock import new_id, now
from infra.furnishing import furnish
from infra.operations.projections import ProjectionOperations
from infra.operations.querying import query
from infra.operations.verify import verify
from infra.postgres.traces import PostgresTraces
from infra.sealing import ensure_master_keys
from infra.settings import Settings
from infra.tokens import Issuer
from infra.wiring import (
    LEDGER,
    MASTER_KEY,
    Core,
    Urls,
    caught_up,
    core,
    follow_erasures,
    operating,
    projecting,
    reading,
)
from projections import builds
from projections.catalogue import TABLES
from projections.checkpoints import Watch
from projections.ddl import qualified
from projections.projection import Table
from projections.sql import Pool
from services.accounts.accounts import Accounts
from services.client.client import Client
from services.guard import PERMISSIONS
from services.http.app import Calculations, make_app
from services.http.limits import Limits
from services.http.metrics import Metrics
from services.http.reading import PoolReader
from services.http.serving import serving
from services.http.snapshots import PoolSnapshots
from services.identity import Identity
from services.routing import COMMANDS
from tests.postgres_ladder import Database
from tests.suites.event_log import everything_after


ORG: Final = "library"
OTHER_ORG: Final = "museum"
REGION: Final = "eu-1"
ISSUER: Final = "tests"
PROVIDERS: Final = "providers.toml"

Row = Mapping[str, Any]


@dataclass(kw_only=True)
class Stack:
    """What runs, at `url`, and what a test looks at it with.

    `api` handles what comes over HTTP; `project` is the other process.
    """

    database: Database
    settings: Settings
    urls: Urls
    url: str
    api: Core
    project: Core
    operations: ProjectionOperations
    reader: PoolReader
    issuer: Issuer
    following: asyncio.Task[None]

    @property
    def ledger(self) -> Path:
        return self.settings.data_dir / LEDGER

    def token(
        self,
        *,
        org: str = ORG,
        subject: str = "user:ada",
        roles: Iterable[str] = ("admin",),
    ) -> str:
        return self.issuer.issue(subject, org=org, roles=roles)

    def client(self, *, org: str = ORG, subject: str = "user:ada") -> Client:
        return Client(self.url, self.token(org=org, subject=subject), patience=0)

    def identity(self, org: str = ORG) -> Identity:
        return Identity(
            org_id=org, region=REGION, actor="user:ada", roles=frozenset({"admin"})
        )

    def meta(self, org: str = ORG) -> Meta:
        """Return the envelope of a new command, as an edge makes it."""
        command_id = new_id()
        return Meta(
            command_id=command_id,
            org_id=org,
            region=REGION,
            actor="user:ada",
            correlation_id=command_id,
            occurred_at=now(),
            roles=frozenset({"admin"}),
        )

    async def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Ask plainly, as a client of another language would."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        bearer = {"Authorization": f"Bearer {self.token()}"}
        async with (
            aiohttp.ClientSession() as http,
            http.request(
                method, self.url + path, data=body, headers={**bearer, **named}
            ) as response,
        ):
            return response.status, await response.read()

    async def sql(self, statement: str, *, org: str = ORG) -> Sequence[Row]:
        """Read the tables as an operator does, who is the reader."""
        found = await query(
            owner=self.urls.owner,
            reader=self.urls.reader,
            schema="testing",
            statement=statement,
            org_id=org,
        )
        return found.rows

    async def as_superuser(self, statement: str, *args: object) -> Sequence[Row]:
        connection = await asyncpg.connect(self.database.superuser)
        try:
            return list(map(dict, await connection.fetch(statement, *args)))
        finally:
            await connection.close()

    async def events(self) -> list[Recorded[Event]]:
        """Return the whole log."""
        return list(await everything_after(self.api.log, 0))

    async def caught_up(self) -> int:
        """Return the log's end once the read tables are there."""
        position = (await self.api.log.head()).position
        await caught_up(self.urls, position)
        return position


@asynccontextmanager
async def open_stack(
    database: Database, folder: Path, *, port: int = 0
) -> AsyncIterator[Stack]:
    """Yield a stack, with its files in a folder; at the end prove that it is whole.

    Identity providers are those of a file that is there already, if one is.
    """
    settings, issuer = signed(database, folder)
    async with AsyncExitStack() as opened:
        urls = await opened.enter_async_context(wiring.database(settings))
        await furnish(owner=urls.owner, projector=urls.projector)
        api = await opened.enter_async_context(core(settings, urls, name="api"))
        project = await opened.enter_async_context(core(settings, urls, name="project"))
        await opened.enter_async_context(projecting(urls, project))
        following = asyncio.create_task(follow_erasures(settings, project))
        opened.push_async_callback(_end, following)
        stack = Stack(
            database=database,
            settings=settings,
            urls=urls,
            url=await opened.enter_async_context(served(settings, api, port)),
            api=api,
            project=project,
            operations=await opened.enter_async_context(
                operating(urls, project, by="user:tests")
            ),
            reader=await opened.enter_async_context(reading(urls)),
            issuer=issuer,
            following=following,
        )
        yield stack
        await assert_whole(stack)


def signed(database: Database, folder: Path) -> tuple[Settings, Issuer]:
    """Return the settings of a stack with its files in a folder, and its issuer."""
    key = Ed25519PrivateKey.generate()
    public = folder / "public.pem"
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    private = folder / "private.pem"
    private.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    ensure_master_keys(folder / MASTER_KEY)
    providers = folder / PROVIDERS
    settings = Settings(
        data_dir=folder,
        region=REGION,
        owner_url=database.owner,
        app_url=database.app,
        projector_url=database.projector,
        reader_url=database.reader,
        keys_url=database.keys,
        master_key_file=folder / MASTER_KEY,
        token_issuer=ISSUER,
        token_audience=ISSUER,
        token_public_key_files=(public,),
        token_private_key_file=private,
        password_cost=10,
        identity_providers_file=providers if providers.exists() else None,
    )
    return settings, Issuer(key, issuer=ISSUER, audience=ISSUER, clock=now)


@asynccontextmanager
async def served(settings: Settings, api: Core, port: int = 0) -> AsyncIterator[str]:
    """Yield where HTTP is served."""
    async with (
        application(settings, api, calculate=Calculator()) as app,
        serving(app, host="127.0.0.1", port=port) as listening,
    ):
        yield f"http://127.0.0.1:{listening}"


@asynccontextmanager
async def application(
    settings: Settings,
    api: Core,
    *,
    calculate: Calculations,
    limits: Limits = Limits(proxies=1),  # noqa: B008 - frozen
) -> AsyncIterator[web.Application]:
    """Yield what answers HTTP."""
    ended: dict[UUID, int] = {}
    async with (
        signing_in(settings, api, ended) as accounts,
        bearers(settings, api, ended) as believed,
    ):
        yield _app(settings, api, accounts, believed, calculate, limits)


def _app(  # noqa: PLR0917 - parts of one thing
    settings: Settings,
    api: Core,
    accounts: Accounts | None,
    believed: Bearers,
    calculate: Calculations,
    limits: Limits,
) -> web.Application:
    watch = Watch(api.pool)
    return make_app(
        handler=api.handler,
        log=api.log,
        blobs=api.blobs,
        verifier=believed.verifier,
        reader=PoolReader(api.pool),
        snapshots=PoolSnapshots(api.pool),
        calculate=calculate,
        commands=COMMANDS,
        permissions=PERMISSIONS,
        tables=TABLES,
        entities=ENTITIES,
        caught_up=watch.wait_for,
        clock=now,
        ids=new_id,
        metrics=Metrics(),
        secret=cursor_secret(settings),
        limits=limits,
        accounts=accounts,
        pages=pages(
            settings,
            api,
            watch=watch,
            verifier=believed.verifier,
            limits=limits,
            accounts=accounts,
        ),
        service_tokens=believed.service_tokens,
        admission=admission(settings, api),
        traces=PostgresTraces(api.pool),
    )


async def assert_whole(stack: Stack) -> None:
    """Prove the log whole, and the read tables equal to what it says, byte for byte."""
    await stack.caught_up()
    assert await stack.operations.parked() == []
    await assert_rebuilt_the_same(stack.operations)
    report = await verify(stack.urls.projector, tables=TABLES)
    assert report.ok, report.first_bad


async def assert_rebuilt_the_same(operations: ProjectionOperations) -> None:
    """Rebuild every read table, and compare it with the one that is shown.

    Its bytes are compared, and its rows are by what operators compare them with.
    """
    for build in await operations.rebuild():
        table = TABLES[build.name]
        shown = await _shown(operations.pool, build.name)
        assert shown != build.physical
        live = await _bytes(operations.pool, table, shown)
        rebuilt = await _bytes(operations.pool, table, build.physical)
        assert rebuilt == live, f"{build.name} is rebuilt differently"
        difference = await operations.diff(build.name, build.build)
        assert difference.equal, difference
        await operations.drop(build.name, build.build)


async def _shown(pool: Pool, name: str) -> str:
    async with pool.acquire() as session:
        build = await builds.shown(session, name)
    assert build is not None
    return build.physical


async def _bytes(pool: Any, table: Table, physical: str) -> bytes:  # noqa: ANN401 - COPY is beyond what projections see of the driver
    content = bytearray()

    async def take(chunk: bytes) -> None:
        content.extend(chunk)

    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    keys = ", ".join(f'"{name}"' for name in table.key)
    async with pool.acquire() as session:
        await session.copy_from_query(
            f"SELECT {columns} FROM {qualified(table, physical)} ORDER BY {keys}",  # noqa: S608 - names of the catalogue
            output=take,
            format="binary",
        )
    return bytes(content)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
