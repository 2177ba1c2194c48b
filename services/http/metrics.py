"""What Prometheus is told of one process, in a registry of its own.

Everything is counted in the event loop's thread, so plain numbers do, and cost less
than locks; the text is made when it is asked for.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from operator import add
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector


SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class Durations:
    """Counts durations in seconds by bucket."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.seconds += seconds

    def join(self, other: "Durations") -> None:
        """Count what another has counted, too."""
        self.counts = list(map(add, self.counts, other.counts))
        self.seconds += other.seconds

    def into(self, family: HistogramMetricFamily, label: str) -> None:
        """Add what was counted to a family, under a label."""
        bounds = [*map(str, SECONDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self.counts), strict=True))
        family.add_metric([label], buckets, self.seconds)


class Metrics(Collector):
    """Counts requests, commands and events, and holds how far read tables lag.

    `lag` is (events, seconds) by group.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.feeds = 0
        self.lag: dict[str, tuple[int, float]] = {}
        self._requests: defaultdict[tuple[str, str, int], Durations]
        self._requests = defaultdict(Durations)
        self._commands: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._command_seconds: defaultdict[str, Durations] = defaultdict(Durations)
        self._events = 0
        self.registry.register(self)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its pattern, so that there are few."""
        self._requests[method, route, status].add(seconds)

    def command(self, kind: str, outcome: str, events: int = 0) -> None:
        """Count a command and the events that it appended."""
        self._commands[kind][outcome] += 1
        self._events += events

    def command_took(self, kind: str, seconds: float) -> None:
        """Note how long one command took."""
        self._command_seconds[kind].add(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield everything that was counted."""
        by_route: defaultdict[str, Durations] = defaultdict(Durations)
        for (_, route, _), durations in self._requests.items():
            by_route[route].join(durations)
        yield _counted(
            "rehearsal_http_requests",
            "Requests by method, route and status",
            ("method", "route", "status"),
            {
                (method, route, str(status)): sum(durations.counts)
                for (method, route, status), durations in self._requests.items()
            },
        )
        yield _timed(
            "rehearsal_http_request_seconds",
            "Seconds from a request's head to its answer, by route",
            "route",
            by_route,
        )
        yield _counted(
            "rehearsal_commands",
            "Commands by type and outcome",
            ("type", "outcome"),
            {
                (kind, outcome): count
                for kind, outcomes in self._commands.items()
                for outcome, count in outcomes.items()
            },
        )
        yield _timed(
            "rehearsal_command_seconds",
            "Seconds that a command took to be handled, by type",
            "type",
            self._command_seconds,
        )
        yield CounterMetricFamily(
            "rehearsal_events_appended",
            "Events appended by commands of this process",
            value=self._events,
        )
        yield GaugeMetricFamily("rehearsal_feeds", "Open event feeds", value=self.feeds)
        events = GaugeMetricFamily(
            "rehearsal_projection_lag_events",
            "Events that a group of read tables has not seen",
            labels=["group"],
        )
        seconds = GaugeMetricFamily(
            "rehearsal_projection_lag_seconds",
            "Age of the oldest event that a group of read tables has not seen",
            labels=["group"],
        )
        for group, (count, age) in self.lag.items():
            events.add_metric([group], count)
            seconds.add_metric([group], age)
        yield events
        yield seconds


def _counted(
    name: str,
    text: str,
    labels: tuple[str, ...],
    counts: Mapping[tuple[str, ...], int],
) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counts.items():
        family.add_metric(key, count)
    return family


def _timed(name: str, text: str, label: str, durations: dict[str, Durations]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label])
    for key, each in durations.items():
        each.into(family, key)
    return family
