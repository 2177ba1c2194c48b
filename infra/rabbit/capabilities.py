"""What the broker at the other end guarantees, by its own word when we connect.

We rely on publisher confirms, quorum queues, a delivery limit and dead-lettering at
least once: RabbitMQ has them all from 3.10 on. A broker without them is refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra.settings import SetupError


PRODUCT: Final = "RabbitMQ"
OLDEST: Final = (3, 10)
NEEDED: Final = ("publisher_confirms", "basic.nack", "consumer_cancel_notify")
ALWAYS: Final = (
    "confirmed_publishes_survive",
    "quorum_queues",
    "delivery_limit",
    "dead_letters_at_least_once",
)
SINCE: Final[tuple[tuple[tuple[int, int], str], ...]] = (
    ((3, 12), "consumer_timeout_per_queue"),
    ((4, 0), "delivery_limit_by_default"),
    ((4, 3), "delivery_limit_counts_failures_only"),
    ((4, 3), "consumer_timeout_keeps_channel"),
)
SUPPORTED: Final = (4, 0)


@dataclass(frozen=True)
class Capabilities:
    """A broker's version, what holds with it, and what an operator should know."""

    version: str
    guarantees: tuple[str, ...]
    cautions: tuple[str, ...]


def capabilities(properties: Mapping[str, object]) -> Capabilities:
    """Return what a broker's connection properties promise.

    Raises `SetupError` where work would not be safe with it.
    """
    product, version = str(properties.get("product")), str(properties.get("version"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if product != PRODUCT or numbers is None:
        message = f"the broker is {product} {version}, and {PRODUCT} is needed"
        raise SetupError(message)
    release = (int(numbers[1]), int(numbers[2]))
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        message = f"{PRODUCT} {version} can lose dead letters; use {oldest} or newer"
        raise SetupError(message)
    offered = properties.get("capabilities")
    offered = offered if isinstance(offered, Mapping) else {}
    missing = [name for name in NEEDED if not offered.get(name)]
    if missing:
        message = f"{PRODUCT} {version} does not offer {', '.join(missing)}"
        raise SetupError(message)
    newer = tuple(name for since, name in SINCE if release >= since)
    cautions = ("release_out_of_support",) if release < SUPPORTED else ()
    return Capabilities(version, (*ALWAYS, *newer), cautions)
