"""What carries work from the dispatcher to the workers, by the settings.

This module imports nothing that speaks AMQP, so that a supervisor stays small.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.embedded.broker import Carrier, embedded_rabbit
from infra.settings import POSTGRES, RABBITMQ, Settings


@asynccontextmanager
async def carrying(settings: Settings, *, join: bool = True) -> AsyncIterator[Carrier]:
    """Yield what carries work; a broker of our own runs for as long.

    Raises `SetupError` where none can be had.
    """
    namespace = settings.broker_namespace
    if settings.broker == RABBITMQ:
        folder = settings.data_dir
        async with embedded_rabbit(folder, namespace=namespace, join=join) as carrier:
            yield carrier
    elif settings.broker in {None, POSTGRES}:
        yield Carrier(name="PostgreSQL", url=None, namespace=namespace)
    else:
        yield Carrier(name="RabbitMQ, given", url=settings.broker, namespace=namespace)
