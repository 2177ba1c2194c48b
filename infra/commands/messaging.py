"""Commands that run the roles which speak to other services over RabbitMQ."""

from infra.commands.shared import OK, AdminPort, Broker, Where, run
from infra.roles import serve_intake, serve_relay
from infra.wiring import database


def intake(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    broker: Broker = None,
    admin_port: AdminPort = None,
) -> int:
    """Run the intake role alone: it takes commands over AMQP, and replies.

    Any number may run; one at a time is active, and the others stand by.
    """
    settings = where.settings(broker=broker)

    async def serve() -> int:
        async with database(settings) as urls:
            await serve_intake(settings, urls, admin_port=admin_port)
        return OK

    return run(where, serve, logging=settings)


def relay(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    broker: Broker = None,
    admin_port: AdminPort = None,
) -> int:
    """Run the relay role alone: it publishes events over AMQP, in order.

    Any number may run; one at a time publishes, and another takes over.
    """
    settings = where.settings(broker=broker)

    async def serve() -> int:
        async with database(settings) as urls:
            await serve_relay(settings, urls, admin_port=admin_port)
        return OK

    return run(where, serve, logging=settings)
