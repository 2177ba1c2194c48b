"""Sends a range of the log again to those who follow it."""

from collections.abc import Callable, Collection

from events.catalogue import EVENTS, tag
from events.errors import Malformed
from events.log import EventLog
from projections.runner import pages
from services.telling.cloudevents import cloud_event
from services.telling.relay import PAGE, Outlet


async def republished(
    log: EventLog,
    outlet: Outlet,
    *,
    first: int,
    last: int,
    kinds: Collection[str] = (),
    told: Callable[[int], None],
) -> int:
    """Publish the events at `first ... last`, marked so; return how many.

    `told` hears how many were looked at. Raises `Malformed` where there is no such
    range or type, and `Unavailable` where the broker went away: some may be published.
    """
    if last < first:
        message = f"There is nothing from {first} to {last}."
        raise Malformed(message, path="to")
    for kind in kinds:
        if kind not in EVENTS:
            message = f"There is no event type {kind}."
            raise Malformed(message, path="type")
    head = (await log.head()).position
    if last > head:
        message = f"The log ends at {head}."
        raise Malformed(message, path="to")
    published = 0
    async for page in pages(log, first - 1, upto=last, limit=PAGE):
        wanted = [
            cloud_event(recorded, republished=True)
            for recorded in page
            if not kinds or tag(type(recorded.event)) in kinds
        ]
        await outlet.publish(wanted)
        published += len(wanted)
        told(page[-1].position - first + 1)
    return published
