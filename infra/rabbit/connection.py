"""One connection to the broker, made again for ever when it breaks.

The library's own recovery restores channels and consumers piece by piece, and each
piece can fail alone. Here nothing is restored: a broken connection is dropped whole,
and whoever used it opens what it needs on the next one. Every wait on the broker ends,
and whatever the library raises while the broker is away comes out as `Unavailable`.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractExchange,
    AbstractIncomingMessage,
)
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused, ConnectionInternalError

from events.errors import Unavailable
from infra.rabbit.capabilities import Capabilities, capabilities
from infra.rabbit.lenient import install
from infra.rabbit.topology import Exchange, Queue
from infra.settings import SetupError


HEARTBEAT_SECONDS: Final = 20
CONNECT_SECONDS: Final = 10.0
CALL_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
SILENCE_SECONDS: Final = 5.0
STEADY_SECONDS: Final = 10.0
SHORTEST: Final = 0.1
LONGEST: Final = 5.0
MISCONFIGURED: Final = (AuthenticationError, ProbableAuthenticationError)

_log: Final = structlog.get_logger()


class Link:
    """A connection that is kept: up, or about to be."""

    def __init__(self, url: str, *, name: str, declare: bool = True) -> None:
        self.name = name
        self.capabilities: Capabilities | None = None
        self.closed = False
        self._url = url
        self._declare = declare
        self._connection: AbstractConnection | None = None
        self._latest: AbstractConnection | None = None
        self._up = asyncio.Event()
        self._lost = asyncio.Event()
        self._declared: set[tuple[type, str]] = set()
        self._declaring = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and keep connecting from then on.

        Raises `SetupError` where the broker refuses us or is not fit for us, and
        `Unavailable` where it does not answer.
        """
        first = await self._connect()
        self._keeping = asyncio.create_task(
            self._keep(first), name=f"{self.name} connection"
        )

    async def close(self) -> None:
        """Close the connection for good; no later call waits for it."""
        self.closed = True
        self._up.set()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if self._latest is not None:
            await _close(self._latest)

    async def connection(self) -> AbstractConnection:
        """Return the connection once it is up; `Unavailable` once it is closed."""
        while True:
            if self.closed:
                raise Unavailable("the connection to the broker was closed")
            if self._connection is not None:
                return self._connection
            await self._up.wait()

    async def open_channel(self, *, confirms: bool = False) -> AbstractChannel:
        """Return a new channel, or raise `Unavailable` within `CALL_SECONDS`.

        With confirms a publish raises unless the broker routed and kept the message.
        """
        async with answered(CALL_SECONDS):
            connection = await self.connection()
        channel = connection.channel(
            publisher_confirms=confirms, on_return_raises=confirms
        )
        async with self.trusted(), answered(CALL_SECONDS):
            await channel.initialize()
        return channel

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """Yield a channel of one's own."""
        channel = await self.open_channel()
        try:
            yield channel
        finally:
            await close_channel(channel)

    @asynccontextmanager
    async def trusted(self) -> AsyncIterator[None]:
        """Give the connection up where the broker leaves us long without an answer.

        Its end may be gone without a word, which heartbeats tell only after a minute.
        """
        loop = asyncio.get_running_loop()
        lost, since = self._lost, loop.time()
        try:
            yield
        except Unanswered:
            long = loop.time() - since >= CALL_SECONDS
            if long and not await self._blocked():
                lost.set()
            raise

    async def _blocked(self) -> bool:
        try:
            async with asyncio.timeout(0):
                await self.unblocked()
        except TimeoutError:
            return True
        return False

    async def unblocked(self) -> None:
        """Return once the broker takes messages: it blocks us while it is short."""
        connection = await self.connection()
        if connection.transport is not None:
            await connection.transport.ready()

    async def declare(self, queue: Queue) -> None:
        """Make sure, once per connection, that a queue and all it needs exist.

        Raises `SetupError` where it exists otherwise, or may not be made by us.
        """
        async with self._declaring:
            if _known(queue) in self._declared:
                return
            # A refusal closes the channel, so it is one that nobody else uses.
            async with self.channel() as channel:
                for one in (queue.dead, queue):
                    if one is not None:
                        await self._declare_one(channel, one)
            self._declared.add(_known(queue))

    async def declare_exchange(self, exchange: Exchange) -> None:
        """Make sure, once per connection, that an exchange exists."""
        async with self._declaring:
            if _known(exchange) in self._declared:
                return
            async with self.channel() as channel:
                try:
                    async with self.trusted(), answered(CALL_SECONDS):
                        await self._make(channel, exchange)
                except RefusedError as error:
                    message = (
                        f"the broker does not have {exchange.name} as we need it: "
                        f"{error}"
                    )
                    raise SetupError(message) from error
            self._declared.add(_known(exchange))

    def forget(self, made: Queue | Exchange) -> None:
        """Say that something seems to be gone, so that it is declared again."""
        self._declared.discard(_known(made))

    async def suspect(self, queue: Queue | None) -> None:
        """Look into a queue that failed us, and delete one that can serve nobody.

        Without a queue only the connection is looked into.

        A queue can be without a leader for ever: RabbitMQ 3.10 leaves one so that was
        made less than a second before the broker was killed. Whoever uses it declares
        it again. Raises `Unavailable` where nothing could be found out or done.
        """
        async with self._looking:
            await self._check()
            if queue is None or await self._serves(queue):
                return
            self.forget(queue)
            if not (queue.passing and self._declare):
                _log.error("queue_stuck", link=self.name, queue=queue.name)
                return
            try:
                # The broker waits 5 seconds itself for a leader to do it.
                async with self._apart() as channel, answered(2 * CALL_SECONDS):
                    await channel.queue_delete(queue.name)
            except RefusedError as error:
                message = f"{queue.name} is stuck and cannot be deleted: {error}"
                raise Unavailable(message) from error
            _log.warning("queue_deleted", link=self.name, queue=queue.name)

    async def _check(self) -> None:
        """Give up our own connection where it is that which gives no answer."""
        if self._connection is None:
            raise Unavailable("the broker is away")
        if await self._blocked():
            raise Unavailable("the broker takes no messages now")
        try:
            channel = await self.open_channel()
        except Unanswered:
            raise
        except Unavailable:
            return
        await close_channel(channel)

    async def _serves(self, queue: Queue) -> bool:
        """Say whether a queue can do what takes a leader, or is not there."""
        try:
            async with self._apart() as channel, answered(SILENCE_SECONDS):
                found = await channel.get_queue(queue.name, ensure=False)
                if queue.single_active:
                    # It refuses a get; what comes is given back with the channel.
                    await channel.set_qos(prefetch_count=1)
                    await found.consume(_leave)
                    return True
                message = await found.get(fail=False, timeout=None)
                if message is not None:
                    await message.reject(requeue=True)
        except (Unanswered, BrokenError):
            return False
        except RefusedError:
            self.forget(queue)
        return True

    @asynccontextmanager
    async def _apart(self) -> AsyncIterator[AbstractChannel]:
        """Yield a channel whose connection nothing else uses, nor can break."""
        connection = await self._dial()
        try:
            async with answered(CALL_SECONDS):
                channel = await connection.channel()
        except Unanswered as error:
            await _close(connection)
            raise Unavailable("the broker is silent") from error
        try:
            yield channel
        finally:
            await _close(connection)

    async def _declare_one(self, channel: AbstractChannel, queue: Queue) -> None:
        passive = not self._declare
        try:
            async with self.trusted(), answered(CALL_SECONDS):
                exchange = await self._make(channel, queue.exchange)
                made = await channel.declare_queue(
                    queue.name,
                    durable=True,
                    passive=passive,
                    arguments=dict(queue.arguments),
                )
                if not passive:
                    for key in queue.keys:
                        await made.bind(exchange, key)
        except RefusedError as error:
            message = (
                f"the broker does not have {queue.name} as we need it: {error}; "
                "delete the queue there once it is empty, or define it by hand"
            )
            raise SetupError(message) from error

    async def _make(
        self, channel: AbstractChannel, exchange: Exchange
    ) -> AbstractExchange:
        return await channel.declare_exchange(
            exchange.name, exchange.kind, durable=True, passive=not self._declare
        )

    async def _keep(self, connection: AbstractConnection) -> None:
        loop = asyncio.get_running_loop()
        pause = SHORTEST
        while True:
            since = loop.time()
            await self._use(connection)
            if loop.time() - since > STEADY_SECONDS:
                pause = SHORTEST
            pause = await backed_off(pause)
            connection, pause = await self._again(pause)

    async def _use(self, connection: AbstractConnection) -> None:
        """Offer a connection to all until it breaks."""
        reasons: list[str] = []
        if connection.connected.is_set():
            self._lost = lost = asyncio.Event()

            def lose(_: object, reason: BaseException | None) -> None:
                reasons.append(_said(reason) if reason else "it was closed")
                lost.set()

            connection.close_callbacks.add(lose)
            self._connection = connection
            self._up.set()
            try:
                await lost.wait()
            finally:
                self._connection = None
                self._declared.clear()
                self._up.clear()
        reason = reasons[0] if reasons else "it gave no answer"
        _log.warning("broker_lost", link=self.name, error=reason)
        await _close(connection)

    async def _again(self, pause: float) -> tuple[AbstractConnection, float]:
        while True:
            try:
                return await self._connect(), pause
            except (Unavailable, SetupError) as error:
                _log.warning("broker_away", link=self.name, error=str(error))
                pause = await backed_off(pause)

    async def _connect(self) -> AbstractConnection:
        install()
        connection = await self._dial()
        transport = connection.transport
        assert transport is not None, "a new connection has a transport"  # noqa: S101 - for the type checker
        try:
            found = capabilities(transport.connection.server_properties)
        except SetupError:
            await _close(connection)
            raise
        self.capabilities = found
        self._latest = connection
        _log.info(
            "broker_connected",
            link=self.name,
            version=found.version,
            guarantees=found.guarantees,
            cautions=found.cautions,
        )
        return connection

    async def _dial(self) -> AbstractConnection:
        try:
            async with answered(CONNECT_SECONDS):
                return await aio_pika.connect(
                    self._url,
                    heartbeat=HEARTBEAT_SECONDS,
                    client_properties={"connection_name": self.name},
                )
        except RefusedError as error:
            message = f"the broker refuses us: {error}"
            raise SetupError(message) from error


class Unanswered(Unavailable):
    """The broker did not answer in time."""


class BrokenError(Unavailable):
    """The broker failed at what it was asked, and closed the connection."""


class RefusedError(Exception):
    """The broker understood, and will not."""


@asynccontextmanager
async def answered(seconds: float) -> AsyncIterator[None]:
    """Raise `Unavailable` where the broker breaks off or does not answer in time.

    A refusal, which waiting does not cure, raises `RefusedError`. Whoever cancels us
    is heard, though the library may turn that into an error of a channel that closes
    just then, and pass over it: the task would go on for ever.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        async with _told_apart(seconds):
            yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


@asynccontextmanager
async def _told_apart(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise Unanswered from error
    except asyncio.CancelledError as error:
        # The library also cancels those who wait on a channel that it closes.
        raise Unavailable("the broker broke off") from error
    except (
        *MISCONFIGURED,
        ChannelAccessRefused,
        ChannelNotFoundEntity,
        ChannelPreconditionFailed,
    ) as error:
        raise RefusedError(_said(error)) from error
    except ConnectionInternalError as error:
        raise BrokenError from error
    except CONNECTION_EXCEPTIONS as error:
        message = f"the broker is away: {_said(error)}"
        raise Unavailable(message) from error


async def backed_off(pause: float) -> float:
    """Wait about `pause` seconds and return how long to wait the next time."""
    await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads a crowd
    return min(2 * pause, LONGEST)


async def close_channel(channel: AbstractChannel) -> None:
    """Close a channel, if there is still something to close."""
    if not channel.is_closed:
        with suppress(Unavailable, RefusedError):
            async with answered(CLOSE_SECONDS):
                await channel.close()


async def _close(connection: AbstractConnection) -> None:
    with suppress(Unavailable, RefusedError):
        async with answered(CLOSE_SECONDS):
            await connection.close()


async def _leave(_message: AbstractIncomingMessage) -> None:
    """Take nothing."""


def _known(made: Queue | Exchange) -> tuple[type, str]:
    return type(made), made.name


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
