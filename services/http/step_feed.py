"""The steps of runs, followed through the log and read from the tables.

The log says which chunk comes next, the tables hold its steps; a feed keeps no more
than the names of chunks that it has yet to tell, so a slow reader costs nothing but
its connection. Condensed, what has gathered since the last message is told in as many
windows as messages would have fitted into that time: a reader that takes less is told
less often, with wider windows, and never a step less.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from math import ceil
from time import monotonic
from typing import Any, Final
from uuid import UUID

from events.errors import Missing, Unavailable
from events.ids import ExperimentId, SimulationId
from events.log import EventLog
from events.message import Event, Recorded
from projections.experiments.simulation_steps import TABLE
from services.experiments.designs import simulation_id
from services.experiments.watching import (
    Cursor,
    End,
    Metrics,
    Run,
    Span,
    StepMetrics,
    Steps,
    Watched,
    noted,
    span_of,
    windows,
)
from services.http.limits import Limits
from services.http.reading import Reader
from services.http.waiting import Waiting
from services.identity import Identity


GROUP: Final = "experiments"
RATE: Final = 20  # messages per second, at most
CATCHING_UP: Final = 200  # windows for what there was before the first message
GATHERED_CHUNKS: Final = 1_000
GATHERED_STEPS: Final = 200_000
PAGE_STEPS: Final = 200

METRICS: Final = tuple(
    column.name
    for column in TABLE.columns
    if column.type in {"integer", "double precision"} and column.name != "step_number"
)

# One statement sees the rows and the checkpoint that was moved with them.
RUN: Final = """
SELECT
    s._id,
    s.number,
    s.status,
    (
        SELECT c.position
        FROM es.checkpoints AS c
        WHERE c.projection = 'experiments'
          AND c.version = 0
    ) AS position
FROM experiments.simulations AS s
WHERE s.simulation_id = $1
"""

EXPERIMENT: Final = """
SELECT
    e.status,
    e.simulations,
    (
        SELECT min(s.simulation_id)
        FROM experiments.simulations AS s
        WHERE s.experiment_id = e.experiment_id
    ) AS first,
    ARRAY(
        SELECT s._id
        FROM experiments.simulations AS s
        WHERE s.experiment_id = e.experiment_id
          AND s.status IN ('requested', 'running', 'paused')
    ) AS under_way,
    (
        SELECT c.position
        FROM es.checkpoints AS c
        WHERE c.projection = 'experiments'
          AND c.version = 0
    ) AS position
FROM experiments.experiments AS e
WHERE e.experiment_id = $1
"""

RUNS: Final = """
SELECT
    s._id,
    s.simulation_id,
    s.number
FROM experiments.simulations AS s
WHERE s.experiment_id = $1
"""

EVERY_STEP: Final = f"""
SELECT
    t.step_number,
    {", ".join(f"t.{name}" for name in METRICS)}
FROM experiments.simulation_steps AS t
WHERE t.simulation_id = $1
  AND t.step_number BETWEEN $2 AND $3
ORDER BY t.step_number
LIMIT {PAGE_STEPS}
"""  # noqa: S608 - names of the catalogue

WINDOWS: Final = f"""
WITH spans AS (
    SELECT
        min(t.step_number) AS first_step,
        max(t.step_number) AS last_step,
        count(*) AS steps,
        {", ".join(f"min(t.{name}) AS least_{name}" for name in METRICS)},
        {", ".join(f"max(t.{name}) AS greatest_{name}" for name in METRICS)},
        {", ".join(f"avg(t.{name})::float8 AS mean_{name}" for name in METRICS)}
    FROM experiments.simulation_steps AS t
    WHERE t.simulation_id = $1
      AND t.step_number BETWEEN $2 AND $3
    GROUP BY (t.step_number - $2) / $4
)
SELECT
    spans.*,
    {", ".join(f"t.{name}" for name in METRICS)}
FROM spans
JOIN experiments.simulation_steps AS t
  ON t.simulation_id = $1
 AND t.step_number = spans.last_step
ORDER BY spans.last_step
"""  # noqa: S608 - names of the catalogue

Told = tuple[Cursor | None, Steps | End | None]
"""A cursor to come back with, and a message; none: nothing has happened for long."""


class StepsAbsent(Unavailable):
    """Recorded steps are not in the tables."""


class StepFeed:
    """Follows runs and experiments for those who may see their rows."""

    def __init__(
        self, *, reader: Reader, log: EventLog, waiting: Waiting, limits: Limits
    ) -> None:
        self._reader = reader
        self._log = log
        self._waiting = waiting
        self._limits = limits

    async def run(self, identity: Identity, number: int) -> Watched:
        """Return a run by its number to follow, or raise `Missing`."""
        rows = await self._reader.read(identity, RUN, [number])
        if not rows:
            raise Missing("There is no such simulation.")
        (row,) = rows
        key = SimulationId(UUID(row["_id"]))
        return Watched(
            runs={key: Run(number=row["number"], simulation_id=number)},
            experiment_id=None,
            begin=number,
            since=row["position"],
            status=row["status"],
            under_way=frozenset(),
        )

    async def experiment(self, identity: Identity, key: ExperimentId) -> Watched:
        """Return an experiment to follow, or raise `Missing`."""
        rows = await self._reader.read(identity, EXPERIMENT, [str(key)])
        if not rows:
            raise Missing("There is no such experiment.")
        (row,) = rows
        runs = {
            simulation_id(key, number): Run(number=number)
            for number in range(1, row["simulations"] + 1)
        }
        for run in await self._reader.read(identity, RUNS, [str(key)]):
            runs[SimulationId(UUID(run["_id"]))] = Run(
                number=run["number"], simulation_id=run["simulation_id"]
            )
        return Watched(
            runs=runs,
            experiment_id=key,
            begin=row["first"] or row["position"],
            since=row["position"],
            status=row["status"],
            under_way=frozenset(SimulationId(UUID(each)) for each in row["under_way"]),
        )

    async def follow(
        self,
        identity: Identity,
        watched: Watched,
        cursor: Cursor | None,
        *,
        rate: int | None = RATE,
    ) -> AsyncGenerator[Told, None]:
        """Yield what was not told yet and all that comes, until the end.

        `rate` is how many messages there are a second at most; None tells every step.
        Raises `StepsAbsent` where steps are not in the tables that should be.
        """
        reading = _Reading(watched, cursor or Cursor(watched.begin))
        pace = _Pace(rate)
        silence = self._limits.heartbeat_seconds
        said_at = monotonic()
        while True:
            if monotonic() >= said_at + silence:
                said_at = monotonic()
                yield reading.nothing, None
            page = await self._log.read(reading.at, self._limits.page_events)
            reading.take(page)
            if len(page) == self._limits.page_events and not reading.ready:
                continue
            if reading.spans:
                if pace.early > 0 and not reading.ready:
                    await asyncio.sleep(pace.early)
                    continue
                while await self._waiting.reaching(GROUP, reading.last) < reading.last:
                    yield None, None
                most = pace.windows(more=reading.full)
                async for told in self._told(identity, reading.spans, most):
                    yield told
                reading.spans = []
                said_at = monotonic()
            if reading.over:
                yield None, End(status=reading.watched.status)
                return
            seconds = max(0.0, said_at + silence - monotonic())
            await self._log.wait(reading.at, seconds=seconds)

    async def _told(
        self, identity: Identity, spans: Sequence[Span], most: int | None
    ) -> AsyncGenerator[Told, None]:
        """Yield steps in about `most` windows, or every step."""
        if most is not None:
            yield await self._condensed(identity, spans, most)
            return
        for span in spans:
            first = span.first
            while first <= span.last:
                args = [span.simulation_id, first, span.last]
                rows = await self._reader.read(identity, EVERY_STEP, args)
                last = rows[-1]["step_number"] if rows else span.last
                if span.whole and len(rows) != last - first + 1:
                    raise _absent(span)
                steps = [_step(span, row) for row in rows]
                cursor = Cursor(span.position, None if last == span.last else last)
                yield cursor, Steps(steps=steps)
                first = last + 1

    async def _condensed(
        self, identity: Identity, spans: Sequence[Span], most: int
    ) -> Told:
        steps: list[StepMetrics] = []
        for span, size in windows(spans, most):
            args = [span.simulation_id, span.first, span.last, size]
            rows = await self._reader.read(identity, WINDOWS, args)
            if span.whole and sum(row["steps"] for row in rows) != span.steps:
                raise _absent(span)
            steps += [_window(span, row) for row in rows]
        return Cursor(spans[-1].position), Steps(steps=steps)


class _Reading:
    """How far the log was read, and what of it is yet to be told."""

    def __init__(self, watched: Watched, cursor: Cursor) -> None:
        self.watched = watched
        self.at = cursor.position - (cursor.step is not None)
        self.spans: list[Span] = []
        self._cursor = cursor

    def take(self, page: Sequence[Recorded[Event]]) -> None:
        """Read on, until everything has ended."""
        for recorded in page:
            if self.over:
                return
            self.at = recorded.position
            self.watched = noted(self.watched, recorded)
            span = span_of(self.watched, recorded, self._cursor)
            self.spans += [] if span is None else [span]

    @property
    def over(self) -> bool:
        """Say whether nothing more can come."""
        return self.watched.ended(self.at)

    @property
    def full(self) -> bool:
        """Say whether as much has gathered as one message may tell."""
        steps = sum(span.steps for span in self.spans)
        return len(self.spans) >= GATHERED_CHUNKS or steps >= GATHERED_STEPS

    @property
    def ready(self) -> bool:
        """Say whether there is no reason to wait for more."""
        return self.over or self.full

    @property
    def last(self) -> int:
        """Return the position of the last chunk that is yet to be told."""
        return self.spans[-1].position

    @property
    def nothing(self) -> Cursor | None:
        """Return a cursor to where there was nothing to tell."""
        return None if self.spans else Cursor(self.at)


class _Pace:
    """When the next message is due, and how many windows it has."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._told_at = monotonic()
        self._behind = True

    @property
    def early(self) -> float:
        """Return for how many seconds to wait for more to tell."""
        if self._rate is None or self._behind:
            return 0.0
        return self._told_at + 1 / self._rate - monotonic()

    def windows(self, *, more: bool) -> int | None:
        """Return how many windows to tell now, None for every step.

        `more` says that there is more than one message may tell.
        """
        if self._rate is None:
            return None
        due = ceil((monotonic() - self._told_at) * self._rate)
        most = CATCHING_UP if self._behind else min(CATCHING_UP, due)
        self._told_at, self._behind = monotonic(), more
        return most


def _step(span: Span, row: Any) -> StepMetrics:  # noqa: ANN401 - a row
    return StepMetrics(
        simulation_id=span.simulation_id,
        number=span.number,
        first_step=row["step_number"],
        last_step=row["step_number"],
        metrics=_metrics(row),
    )


def _window(span: Span, row: Any) -> StepMetrics:  # noqa: ANN401 - a row
    several = row["steps"] > 1
    return StepMetrics(
        simulation_id=span.simulation_id,
        number=span.number,
        first_step=row["first_step"],
        last_step=row["last_step"],
        metrics=_metrics(row),
        least=_metrics(row, "least_") if several else None,
        greatest=_metrics(row, "greatest_") if several else None,
        mean=_metrics(row, "mean_") if several else None,
    )


def _metrics(row: Any, prefix: str = "") -> Metrics:  # noqa: ANN401 - a row
    return {name: row[prefix + name] for name in METRICS}


def _absent(span: Span) -> StepsAbsent:
    message = (
        f"Steps {span.first} to {span.last} of simulation {span.simulation_id} are "
        "not in the tables."
    )
    return StepsAbsent(message)
