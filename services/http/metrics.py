"""What Prometheus is told of one process, in a registry of its own.

Everything is counted in the event loop's thread, so plain numbers do, and cost less
than locks; the text is made when it is asked for.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector


Key = TypeVar("Key", bound=tuple[str, ...])

SECONDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip


class Durations:
    """Counts durations in seconds by bucket."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def into(self, family: HistogramMetricFamily, label: str) -> None:
        """Add what was counted to a family, under a label."""
        bounds = [*map(str, SECONDS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        family.add_metric([label], buckets, self._sum)


class Metrics(Collector):
    """Counts requests, commands and events, and holds how far read tables lag.

    `lag` is (events, seconds) by group.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.feeds = 0
        self.lag: dict[str, tuple[int, float]] = {}
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._request_seconds: defaultdict[str, Durations] = defaultdict(Durations)
        self._commands: Counter[tuple[str, str]] = Counter()
        self._command_seconds: defaultdict[str, Durations] = defaultdict(Durations)
        self._events = 0
        self.registry.register(self)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is its pattern, so that there are few."""
        self._requests[method, route, str(status)] += 1
        self._request_seconds[route].add(seconds)

    def command(self, kind: str, outcome: str, events: int = 0) -> None:
        """Count a command and the events that it appended."""
        self._commands[kind, outcome] += 1
        self._events += events

    def command_took(self, kind: str, seconds: float) -> None:
        """Note how long one command took."""
        self._command_seconds[kind].add(seconds)

    def collect(self) -> Iterator[Metric]:
        """Yield everything that was counted."""
        yield _counted(
            "rehearsal_http_requests",
            "Requests by method, route and status",
            ("method", "route", "status"),
            self._requests,
        )
        yield _timed(
            "rehearsal_http_request_seconds",
            "Seconds from a request's head to its answer, by route",
            "route",
            self._request_seconds,
        )
        yield _counted(
            "rehearsal_commands",
            "Commands by type and outcome",
            ("type", "outcome"),
            self._commands,
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
    name: str, text: str, labels: tuple[str, ...], counts: Mapping[Key, int]
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
