"""The exchanges and queues of the system, as data.

Every queue is durable and replicated (quorum). A message that is refused, or delivered
too often without an answer, goes to the dead queue and stays there; a queue that is
full refuses new messages and drops none.

    <namespace>.work      direct   kind          -> <namespace>.work.<kind>
    <namespace>.dead      fanout                 -> <namespace>.dead
    <namespace>.commands  topic    command type  -> <namespace>.commands
    <namespace>.commands.dead  fanout            -> <namespace>.commands.dead
    <namespace>.events    topic    event type, organisation -> whoever binds a queue
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal


NAMESPACE: Final = "rehearsal"
DELIVERY_LIMIT: Final = 20
LONGEST: Final = 1_000_000
Arguments = Mapping[str, str | int | bool]

NEVER: Final = 1_000_000
SINGLE_ACTIVE: Final = "x-single-active-consumer"


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: Literal["direct", "topic", "fanout"]


@dataclass(frozen=True)
class Queue:
    """A quorum queue, what is routed to it, and where its dead letters go.

    What a `passing` one holds is sent again where it is lost, so it may be replaced.
    """

    name: str
    exchange: Exchange
    keys: tuple[str, ...]
    arguments: Arguments = field(default_factory=dict)
    dead: "Queue | None" = None
    passing: bool = False

    @property
    def single_active(self) -> bool:
        """Whether one consumer at a time has its turn, and the others stand by."""
        return bool(self.arguments.get(SINGLE_ACTIVE))


@dataclass(frozen=True)
class Topology:
    """All exchanges and queues under one namespace."""

    namespace: str = NAMESPACE
    delivery_limit: int = DELIVERY_LIMIT
    longest: int = LONGEST

    @property
    def dead(self) -> Queue:
        """The queue of all that was refused, kept for a person to look at."""
        return _dead(f"{self.namespace}.dead", {"x-queue-type": "quorum"})

    @property
    def commands(self) -> Queue:
        """The queue of commands: one consumer at a time, so that order is kept."""
        exchange = Exchange(f"{self.namespace}.commands", "topic")
        # What waits there is looked at, and given back, for as long as it takes.
        arguments: Arguments = {"x-queue-type": "quorum", "x-delivery-limit": NEVER}
        dead = _dead(f"{exchange.name}.dead", arguments)
        made = self.queue(exchange.name, exchange, "#", dead=dead)
        return replace(made, arguments={**made.arguments, SINGLE_ACTIVE: True})

    @property
    def events(self) -> Exchange:
        """The exchange of all that happened, for whoever binds a queue."""
        return Exchange(f"{self.namespace}.events", "topic")

    def work(self, kind: str) -> Queue:
        """Return the queue of the references to jobs of a kind."""
        exchange = Exchange(f"{self.namespace}.work", "direct")
        queue = self.queue(f"{exchange.name}.{kind}", exchange, kind)
        return replace(queue, passing=True)

    def queue(
        self, name: str, exchange: Exchange, *keys: str, dead: Queue | None = None
    ) -> Queue:
        """Return a queue that loses nothing: what it cannot deliver dies in `dead`."""
        dead = dead or self.dead
        return Queue(
            name=name,
            exchange=exchange,
            keys=keys,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": self.delivery_limit,
                "x-max-length": self.longest,
                # At least once is refused by the broker with any other overflow.
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": dead.exchange.name,
                "x-dead-letter-strategy": "at-least-once",
            },
            dead=dead,
        )


def _dead(name: str, arguments: Arguments) -> Queue:
    exchange = Exchange(name, "fanout")
    return Queue(name=name, exchange=exchange, keys=("",), arguments=arguments)
