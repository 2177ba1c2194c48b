"""What the facts of the testing context share."""

from events.message import Event


class TestingEvent(
    Event, frozen=True, kw_only=True, tag=lambda name: f"testing.{name}"
):
    """A fact about testing agents with simulated conversations."""

    __test__ = False


Tags = dict[str, str | None]
