"""The command that shows runs of populations while they are made: experiments watch."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import monotonic
from typing import Annotated, Final, Self
from uuid import UUID

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.live import Live
from rich.table import Table as Grid

from events.ids import ExperimentId
from infra.commands.shared import FAILED, OK, Where, Who, answer, run, screen
from infra.operations.experimenting import Experiments
from infra.wiring import caught_up, core, database, projecting, reading
from projections.checkpoints import Watch
from services.experiments.watching import End, Metrics, StepMetrics
from services.http.limits import Limits
from services.http.step_feed import RATE, StepFeed, Told
from services.http.waiting import Waiting


LINES: Final = 12  # runs that are shown at a time, the latest
FRAMES: Final = 10  # a second
PATIENCE: Final = 5.0
COLUMNS: Final = {
    "agents": "total_agents",
    "resources": "total_resources",
    "reward": "average_reward",
    "generation": "current_max_generation",
    "diversity": "genetic_diversity",
}


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of a run: its steps in sum, and its metrics after the last one.

    `born` counts those too that it began with.
    """

    simulation_id: int
    number: int
    first_step: int
    step: int
    born: int
    died: int
    metrics: Metrics


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen until the end."""

    status: str
    steps: int
    runs: list[Seen]


class Board:
    """Shows the latest numbers of runs on a terminal while inside; sums them up."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._seen: dict[int, Seen] = {}
        self._steps = 0
        self._began = monotonic()
        self._live = Live(
            console=screen, get_renderable=self.grid, refresh_per_second=FRAMES
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()
        if not screen.is_terminal:
            screen.line()

    def take(self, told: StepMetrics) -> None:
        """Count a step, or a window of steps."""
        before = self._seen.pop(told.simulation_id, None)
        count = told.last_step - told.first_step + 1
        of = told.mean or told.metrics
        born, died = (round((of[name] or 0) * count) for name in ("births", "deaths"))
        self._steps += count
        self._seen[told.simulation_id] = Seen(
            simulation_id=told.simulation_id,
            number=told.number,
            first_step=told.first_step if before is None else before.first_step,
            step=told.last_step,
            born=born + (0 if before is None else before.born),
            died=died + (0 if before is None else before.died),
            metrics=told.metrics,
        )

    def report(self, status: str) -> Report:
        """Return all that was seen."""
        runs = sorted(self._seen.values(), key=lambda seen: seen.number)
        return Report(status=status, steps=self._steps, runs=runs)

    def grid(self) -> Grid:
        """Return the latest runs as people read them."""
        rate = self._steps / max(monotonic() - self._began, 1 / FRAMES)
        caption = f"{len(self._seen)} runs, {self._steps} steps, {rate:.0f} a second"
        grid = Grid(
            "run", "step", "born", "died", *COLUMNS, title=self._title,
            caption=caption,
        )  # fmt: skip
        latest = list(self._seen.values())[-LINES:]
        for seen in sorted(latest, key=lambda seen: seen.number):
            counts = (seen.number, seen.step, seen.born, seen.died)
            values = (seen.metrics[name] for name in COLUMNS.values())
            grid.add_row(*map(str, counts), *map(_short, values))
        return grid


def watch(
    identifier: UUID,
    *,
    rate: Annotated[
        int,
        Parameter(
            help="How often a second to look, at most.",
            validator=Number(gte=1, lte=RATE),
        ),
    ] = RATE,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show the numbers of an experiment or a simulation while it is made, to its end.

    What was made before is counted too. Others do the work: `rehearsal up`, or workers.
    """
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="watch") as parts,
            projecting(urls, parts),
            reading(urls) as reader,
        ):
            known = Experiments(parts.log, who.org)
            kind = await known.kind(identifier)
            position = await known.asked_at(kind, identifier)
            await caught_up(urls, position)
            watch = Watch(parts.pool)
            feed = StepFeed(
                reader=reader,
                log=parts.log,
                waiting=Waiting(
                    log=parts.log, caught_up=watch.wait_for, seconds=PATIENCE
                ),
                limits=Limits(),
            )
            identity = who.identity(settings)
            if kind == "experiment":
                watched = await feed.experiment(identity, ExperimentId(identifier))
            else:
                watched = await feed.run(identity, position)
            following = feed.follow(identity, watched, None, rate=rate)
            with Board(f"{kind} {identifier}") as board:
                status = await _shown(following, board)
        found = board.report(status)
        answer(where, found, lambda: screen.print(status, highlight=False))
        return OK if status == "completed" else FAILED

    return run(where, work)


async def _shown(following: AsyncGenerator[Told, None], board: Board) -> str:
    """Show what comes, and return how it ended."""
    status = ""
    async with aclosing(following):
        async for _, told in following:
            if isinstance(told, End):
                status = told.status
            elif told is not None:
                for step in told.steps:
                    board.take(step)
    return status


def _short(value: float | None) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)
