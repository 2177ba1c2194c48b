"""What the facts of the playgrounds context share."""

from events.message import Event


class PlaygroundsEvent(
    Event, frozen=True, kw_only=True, tag=lambda name: f"playgrounds.{name}"
):
    """A fact about people judging models."""

    __test__ = False
