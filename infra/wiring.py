"""The composition root: the only place that names concrete classes.

Each function opens one part of a stack from the settings and closes it again; a role
is made of the parts that it needs, so every role also runs alone. `infra.believing` is
the rest of it: tokens and accounts.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Unavailable
from events.log import Blobs, EventLog
from infra.clock import new_id
from infra.embedded.stack import embedded_postgres, running_stack
from infra.furnishing import furnish
from infra.operations.erasure import ErasureFollower, ErasureLedger
from infra.operations.projections import ProjectionOperations
from infra.postgres.blobs import PostgresBlobs
from infra.postgres.event_log import open_event_log
from infra.postgres.pool import Pool, open_pool
from infra.postgres.vault import PostgresVault, open_vault
from infra.preparing import furnish_apart
from infra.sealing import MasterKeys, ensure_master_keys, read_master_keys
from infra.settings import Settings, SettingsError, require
from infra.stopping import ended
from projections.catalogue import GROUPS
from projections.checkpoints import Watch
from projections.runner import GroupRunner
from services import guard
from services.handling import Handler
from services.http.reading import PoolReader
from services.http.snapshots import PoolSnapshots
from services.routing import DECIDER_OF


MASTER_KEY: Final = "master.key"
LEDGER: Final = "erasures.ndjson"
LONG_STATEMENT_SECONDS: Final = 6 * 3600.0


class Urls(msgspec.Struct, frozen=True, kw_only=True):
    """Where each role connects; a process is given those that it needs.

    `direct` bypasses a pooler, for LISTEN. Asking for one that is not set raises
    `SettingsError` that names the variable.
    """

    owner_url: str | None
    app_url: str | None
    projector_url: str | None
    reader_url: str | None
    keys_url: str | None
    direct_url: str | None
    superuser_url: str | None = None

    def __repr__(self) -> str:
        return "Urls()"

    @property
    def owner(self) -> str:
        """Return where the owner of the schema connects."""
        return self._need("owner_url")

    @property
    def app(self) -> str:
        """Return where the application connects."""
        return self._need("app_url")

    @property
    def projector(self) -> str:
        """Return where the owner of the read tables connects."""
        return self._need("projector_url")

    @property
    def reader(self) -> str:
        """Return where people who read with SQL connect."""
        return self._need("reader_url")

    @property
    def keys(self) -> str:
        """Return where the key store is reached."""
        return self._need("keys_url")

    @property
    def direct(self) -> str:
        """Return where the application can LISTEN."""
        return self.direct_url or self.app

    @property
    def superuser(self) -> str:
        """Return where who makes roles connects."""
        return self._need("superuser_url")

    def _need(self, name: str) -> str:
        url: str | None = getattr(self, name)
        if url is None:
            message = f"REHEARSAL_{name.upper()} must be set, because other URLs are"
            raise SettingsError(message)
        return url


@dataclass(frozen=True, kw_only=True)
class Core:
    """What handles commands: the log and what stands around it."""

    log: EventLog
    blobs: Blobs
    vault: PostgresVault
    handler: Handler
    pool: Pool


@asynccontextmanager
async def database(settings: Settings, *, join: bool = True) -> AsyncIterator[Urls]:
    """Yield the addresses of the database: given ones, or those of an embedded one.

    An embedded one that this call starts is brought up to date first.
    """
    if not settings.embedded:
        yield _given(settings)
        return
    joined = running_stack(settings.data_dir) is not None
    async with embedded_postgres(settings.data_dir, join=join) as addresses:
        urls = Urls(
            owner_url=addresses.owner,
            app_url=addresses.app,
            projector_url=addresses.projector,
            reader_url=addresses.reader,
            keys_url=addresses.keys,
            direct_url=addresses.app,
            superuser_url=addresses.superuser,
        )
        if not joined:
            # Who starts a database to keep it stays; others end soon anyway.
            prepare = furnish if join else furnish_apart
            await prepare(owner=urls.owner, projector=urls.projector)
        yield urls


def _given(settings: Settings) -> Urls:
    return Urls(
        owner_url=settings.owner_url,
        app_url=settings.app_url,
        projector_url=settings.projector_url,
        reader_url=settings.reader_url,
        keys_url=settings.keys_url,
        direct_url=settings.direct_url,
        superuser_url=settings.superuser_url,
    )


def master_keys(settings: Settings) -> MasterKeys:
    """Return the keys that wrap the subjects' keys; embedded, they are made."""
    if settings.master_key_file is not None:
        return read_master_keys(settings.master_key_file)
    if settings.embedded:
        return ensure_master_keys(settings.data_dir / MASTER_KEY)
    (path,) = require(settings, "master_key_file")
    return read_master_keys(Path(path))


@asynccontextmanager
async def core(settings: Settings, urls: Urls, *, name: str) -> AsyncIterator[Core]:
    """Open what handles commands; `name` shows in the server's list of sessions."""
    async with AsyncExitStack() as stack:
        vault = await stack.enter_async_context(
            open_vault(urls.keys, master_keys(settings), ids=new_id)
        )
        log = await stack.enter_async_context(
            open_event_log(
                urls.app,
                direct_dsn=urls.direct,
                vault=vault,
                application_name=f"rehearsal {name} log",
            )
        )
        pool = await stack.enter_async_context(
            await open_pool(
                urls.app,
                min_size=1,
                max_size=settings.pool_size,
                application_name=f"rehearsal {name}",
            )
        )
        yield Core(
            log=log,
            blobs=PostgresBlobs(pool),
            vault=vault,
            handler=Handler(log=log, deciders=DECIDER_OF, guard=guard.check),
            pool=pool,
        )


@asynccontextmanager
async def operating(
    urls: Urls, parts: Core, *, by: str
) -> AsyncIterator[ProjectionOperations]:
    """Open what operates on the read tables, with time for long statements."""
    pool = await open_pool(
        urls.projector,
        min_size=1,
        max_size=6,
        application_name="rehearsal operations",
        statement_seconds=LONG_STATEMENT_SECONDS,
    )
    async with pool:
        yield ProjectionOperations(
            pool=pool, source=parts.log, groups=GROUPS, owner=new_id(), by=by
        )


@asynccontextmanager
async def reading(urls: Urls) -> AsyncIterator[PoolReader]:
    """Open what reads the tables as somebody, under the row policies."""
    pool = await open_pool(
        urls.app, min_size=1, max_size=2, application_name="rehearsal reading"
    )
    async with pool:
        yield PoolReader(pool)


@asynccontextmanager
async def snapshotting(urls: Urls) -> AsyncIterator[PoolSnapshots]:
    """Open what reads several tables of one moment, under the row policies."""
    pool = await open_pool(
        urls.app, min_size=1, max_size=2, application_name="rehearsal reading"
    )
    async with pool:
        yield PoolSnapshots(pool)


@asynccontextmanager
async def projecting(urls: Urls, parts: Core) -> AsyncIterator[asyncio.Task[None]]:
    """Feed the read tables and follow erasures while inside, unless another does.

    The task that does so ends only by failing; whoever waits long should wait for it.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            await open_pool(
                urls.projector,
                min_size=1,
                max_size=2 + 2 * len(GROUPS),
                application_name="rehearsal projections",
            )
        )
        owner = new_id()
        runners = [
            GroupRunner(group, parts.log, pool, owner=owner)
            for group in GROUPS.values()
        ]

        async def feed() -> None:
            async with asyncio.TaskGroup() as tasks:
                for runner in runners:
                    tasks.create_task(runner.run(stop))

        task = asyncio.create_task(feed(), name="projections")
        try:
            yield task
        finally:
            stop.set()
            await ended(task)


async def follow_erasures(settings: Settings, parts: Core) -> None:
    """Destroy the keys of erased subjects, for ever; one process at a time does."""
    with ErasureLedger.open(settings.data_dir / LEDGER) as ledger:
        await ErasureFollower(parts.log, parts.vault, ledger).run()


async def caught_up(urls: Urls, position: int, *, seconds: float = 60.0) -> None:
    """Return once every group's read tables hold all up to a position.

    Raises `Unavailable` after `seconds`.
    """
    pool = await open_pool(
        urls.projector, min_size=1, max_size=2, application_name="rehearsal waiting"
    )
    async with pool:
        watch = Watch(pool)
        for name in GROUPS:
            reached = await watch.wait_for(name, position, seconds)
            if reached < position:
                message = f"The read tables of {name} are at {reached}, not {position}."
                raise Unavailable(message)
