"""The outlet over RabbitMQ: every event to one topic exchange, for whoever binds.

Exchange `rehearsal.events`; the routing key is the event's type and its organisation,
so `testing.PersonaCreated.#` takes one type, and `testing.#` a world. A broker that
lets a service bind by its own organisation only has permissions for topics.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from msgspec import UNSET

from infra.rabbit.publisher import PATIENCE_SECONDS, Outgoing, Publisher
from infra.rabbit.topology import Topology
from infra.rabbit.transport import opened
from services.telling.cloudevents import MEDIA_TYPE, CloudEvent, encoded


LONGEST_KEY: Final = 255
REPUBLISHED: Final = "rehearsal-republished"


class RabbitOutlet:
    """An `Outlet` over one link."""

    def __init__(self, publisher: Publisher, topology: Topology) -> None:
        self._publisher = publisher
        self._exchange = topology.events

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when all are kept, sent in order, or raise `Unavailable`."""
        await self._publisher.publish(
            [self._outgoing(event) for event in events],
            into=self._exchange,
            in_order=True,
        )

    def _outgoing(self, event: CloudEvent) -> Outgoing:
        headers: dict[str, str] = {}
        for name in ("traceparent", "tracestate"):
            value = getattr(event, name)
            if value is not UNSET:
                headers[name] = value
        if event.republished is not UNSET:
            headers[REPUBLISHED] = "true"
        return Outgoing(
            exchange=self._exchange.name,
            routing_key=f"{event.type}.{event.orgid}"[:LONGEST_KEY],
            body=encoded(event),
            content_type=MEDIA_TYPE,
            headers=headers,
            correlation_id=str(event.correlationid),
            message_id=str(event.id),
            mandatory=False,
        )


@asynccontextmanager
async def rabbit_outlet(
    url: str,
    *,
    topology: Topology | None = None,
    declare: bool = True,
    patience_seconds: float = PATIENCE_SECONDS,
) -> AsyncIterator[RabbitOutlet]:
    """Yield an outlet to the broker at `url`, and close it in order.

    Raises `SetupError` where the broker is not fit or refuses us, `Unavailable` where
    it does not answer.
    """
    async with AsyncExitStack() as stack:
        link = await opened(stack, url, "rehearsal events", declare=declare)
        publisher = Publisher(link, seconds=patience_seconds)
        stack.push_async_callback(publisher.close)
        topology = topology or Topology()
        # Subscribers may come before the first event.
        await link.declare_exchange(topology.events)
        yield RabbitOutlet(publisher, topology)
