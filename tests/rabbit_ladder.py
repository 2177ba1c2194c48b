"""The RabbitMQ that tests run on: the fullest that this machine can offer.

An address in REHEARSAL_TEST_RABBITMQ, else the ladder that the product climbs: programs
on this machine, else a container where a Docker daemon answers, else (on Debian, as
root) programs that apt installs. REQUIRE=rabbitmq makes it an error that there is none.
Loaded as a pytest plugin.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path

import pytest

from infra.embedded.account import Account, server_account, shared_directory
from infra.embedded.ladder import Rung, ladder, own_programs
from infra.embedded.rabbit import Broker, Programs, start
from infra.embedded.server import new_password


RUNG = pytest.StashKey[Rung | None]()


class OwnBroker:
    """A broker of the tests' own, on one port and one folder through its deaths."""

    def __init__(self, programs: Programs, folder: Path, account: Account) -> None:
        self._programs = programs
        self._folder = folder
        self._account = account
        self._password = new_password()
        self._broker: Broker | None = None

    @property
    def url(self) -> str:
        """Its address, of a user who may do everything."""
        return self._running.url

    @property
    def pids(self) -> tuple[int, int]:
        """The process ids of the broker and of its port mapper."""
        return self._running.pids

    async def start(self) -> None:
        """Start it, on the port that it had."""
        self._broker = await start(
            self._programs,
            self._folder / "rabbitmq",
            account=self._account,
            log=self._folder / "log",
            password=self._password,
            port=self._broker.port if self._broker else 0,
        )

    async def stop(self) -> None:
        """Stop it in order."""
        await self._running.stop()

    async def crash(self) -> None:
        """Kill it where it stands."""
        await self._running.crash()

    async def control(self, *arguments: str) -> str:
        """Return what `rabbitmqctl` says."""
        return await self._running.control(*arguments)

    @property
    def _running(self) -> Broker:
        assert self._broker is not None, "the broker was never started"
        return self._broker


def rung(address: str | None) -> Rung | None:
    """Return the way to a broker of the tests, if there is any."""
    if address:
        return Rung("given", open=lambda: _given(address))
    return ladder()


@asynccontextmanager
async def temporary_broker(programs: Programs) -> AsyncIterator[OwnBroker]:
    """Yield an empty, passing broker that may be killed and started again."""
    account = server_account()
    with _folder(account) as folder:
        broker = OwnBroker(programs, folder, account)
        await broker.start()
        try:
            yield broker
        finally:
            await broker.stop()


def pytest_configure(config: pytest.Config) -> None:
    found = rung(_environment("REHEARSAL_TEST_RABBITMQ"))
    if "rabbitmq" in (_environment("REQUIRE") or "").split(",") and found is None:
        message = (
            "REQUIRE=rabbitmq, and there is none: give REHEARSAL_TEST_RABBITMQ, "
            "start a Docker daemon or install rabbitmq-server"
        )
        raise pytest.UsageError(message)
    config.stash[RUNG] = found


def pytest_report_header(config: pytest.Config) -> str:
    found = config.stash[RUNG]
    return f"rabbitmq: {found.name if found else 'none, its tests are skipped'}"


@pytest.fixture(scope="session")
async def brokers(request: pytest.FixtureRequest) -> AsyncIterator["Brokers"]:
    async with AsyncExitStack() as stack:
        yield Brokers(stack, request.config.stash[RUNG])


@pytest.fixture
async def rabbitmq(brokers: "Brokers") -> str:
    """The address of a broker, which others may use too."""
    return await brokers.address()


@pytest.fixture
async def own_rabbitmq(brokers: "Brokers") -> "OwnBroker":
    """A broker that may be killed; whoever does starts it again."""
    return await brokers.own()


class Brokers:
    """The brokers of a session, each started when first asked for."""

    def __init__(self, stack: AsyncExitStack, rung: Rung | None) -> None:
        self._stack = stack
        self._rung = rung
        self._address: str | None = None
        self._own: OwnBroker | None = None

    async def address(self) -> str:
        """Return the address of the rung's broker."""
        if self._rung is None:
            pytest.skip("there is no RabbitMQ: see the header")
        if self._rung.open is None:
            return (await self.own()).url
        if self._address is None:
            self._address = await self._stack.enter_async_context(self._rung.open())
        return self._address

    async def own(self) -> OwnBroker:
        """Return the broker that runs as our child."""
        rung = own_programs()
        if rung is None or rung.programs is None:
            pytest.skip("rabbitmq-server is not on this machine")
        if self._own is None:
            programs = await asyncio.to_thread(rung.programs)
            self._own = await self._stack.enter_async_context(
                temporary_broker(programs)
            )
        return self._own


@contextmanager
def _folder(account: Account) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    folder.chmod(0o711)
    if not account.may_enter(folder):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="tests-", dir=shared_directory()))
        folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _given(address: str) -> AsyncIterator[str]:
    yield address


def _environment(name: str) -> str | None:
    return os.environ.get(name)  # noqa: TID251 - how tests run is no setting of the system
