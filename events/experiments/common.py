"""What the facts of the experiments context share."""

from typing import Any

import msgspec

from events.message import Event


class ExperimentsEvent(
    Event, frozen=True, kw_only=True, tag=lambda name: f"experiments.{name}"
):
    """A fact about experiments with simulated populations."""


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows of states, resources, actions and lessons are recorded.

    Those of every `every`-th step from `first` to `last` (None: the end), of every
    `sample`-th agent; 0 steps: none. Metrics, births, deaths and incidents always are.
    """

    every: int = 1
    first: int = 0
    last: int | None = None
    sample: int = 1


Tree = dict[str, Any]
"""A configuration as JSON has it, group by group."""
