"""Waiting for experiments and simulations, and proving them by making them again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast
from uuid import UUID

import msgspec

from events.errors import Missing
from events.experiments.experiments import (
    Condition,
    ExperimentCompleted,
    ExperimentEvent,
    OutsideExperimentDescribed,
    SimulationCounted,
    Summary,
)
from events.experiments.simulations import SimulationEvent, SimulationRequested
from events.ids import ExperimentId, SimulationId
from events.log import EventLog
from infra.operations.waiting import Patience
from services.engines.population.chunks import MadeChunk
from services.experiments import experiments, simulations
from services.experiments.designs import simulation_id
from services.experiments.outside import RunsElsewhere
from services.work.simulating import Known, ReplayDiffersError, Runs


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation: how far it is and what came out.

    One that runs elsewhere has no seed, steps or hash that are known here.
    """

    simulation_id: SimulationId
    number: int
    status: str
    seed: int | None
    steps: int | None
    step: int
    parameters: dict[str, object]
    state_hash: str | None
    summary: Summary | None


class ExperimentReport(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment: how far it is and what came out of each run and condition."""

    experiment_id: ExperimentId
    name: str
    status: str
    simulations: int
    counted: int
    position: int
    conditions: list[Condition]
    runs: list[RunReport]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that came out otherwise when they were made again."""

    simulation_id: SimulationId
    first_step: int
    last_step: int
    problem: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was made again, and whether it was the same."""

    ok: bool
    simulations: int
    chunks: int
    steps: int
    agent_steps: int
    differences: list[Difference]


class Experiments:
    """Experiments and simulations as the log knows them, for one organisation."""

    def __init__(self, log: EventLog, org_id: str) -> None:
        self._log = log
        self._org_id = org_id

    @property
    def org_id(self) -> str:
        """Return the organisation."""
        return self._org_id

    async def kind(self, identifier: UUID) -> str:
        """Return `experiment` or `simulation`, or raise `Missing`."""
        for name in ("experiment", "simulation"):
            stream = await self._log.read_stream(f"experiments.{name}-{identifier}")
            if stream.events and stream.org_id == self._org_id:
                return name
        raise Missing("There is no such experiment or simulation.")

    async def asked_at(self, kind: str, identifier: UUID) -> int:
        """Return the position at which it was asked for, which is a run's number."""
        stream = await self._log.read_stream(f"experiments.{kind}-{identifier}")
        return stream.events[0].position

    async def runs_of(self, identifier: UUID) -> list[SimulationId]:
        """Return the simulations that are meant: one, or those of an experiment."""
        if await self.kind(identifier) == "simulation":
            return [SimulationId(identifier)]
        key = ExperimentId(identifier)
        state = await self._experiment(key)
        if state.described is not None:
            raise RunsElsewhere
        count = state.created.simulations if state.created and state.started else 0
        return [simulation_id(key, number) for number in range(1, count + 1)]

    async def experiment(self, key: ExperimentId) -> ExperimentReport:
        """Return how far an experiment is."""
        position = (await self._log.head()).position
        state = await self._experiment(key)
        if state.described is not None:
            return _described(state.described, position)
        if state.created is None:
            raise Missing("There is no such experiment.")
        stream = await self._log.read_stream(f"experiments.experiment-{key}")
        completed = [
            recorded.event
            for recorded in stream.events
            if isinstance(recorded.event, ExperimentCompleted)
        ]
        status = "created"
        if state.started:
            status = "paused" if state.paused else "running"
        if state.ended:
            status = "completed" if completed else "cancelled"
        return ExperimentReport(
            experiment_id=key,
            name=state.created.name,
            status=status,
            simulations=state.created.simulations,
            counted=len(state.counted),
            position=position,
            conditions=completed[-1].conditions if completed else [],
            runs=[await self.run(each.simulation_id) for each in _ordered(state)],
        )

    async def run(self, key: SimulationId) -> RunReport:
        """Return how far a simulation is."""
        stream = await self._log.read_stream(f"experiments.simulation-{key}")
        if not stream.events or stream.org_id != self._org_id:
            raise Missing("There is no such simulation.")
        state = simulations.decider.initial
        summary: Summary | None = None
        for recorded in stream.events:
            event = cast("SimulationEvent", recorded.event)
            state = simulations.evolve(state, event)
            summary = getattr(event, "summary", summary)
        elsewhere = state.outside
        if elsewhere.opened is not None:
            return RunReport(
                simulation_id=key,
                number=elsewhere.opened.number,
                status=state.ended or "running",
                seed=None,
                steps=None,
                step=max(elsewhere.last_step, 0),
                parameters=dict(elsewhere.opened.parameters),
                state_hash=None,
                summary=None,
            )
        status = "running" if state.chunks else "requested"
        if state.paused:
            status = "paused"
        first = stream.events[0].event
        asked = first if isinstance(first, SimulationRequested) else None
        return RunReport(
            simulation_id=key,
            number=1 if asked is None else asked.number,
            status=state.ended or status,
            seed=state.seed,
            steps=state.steps,
            step=max(state.step, 0),
            parameters=dict(
                (state.branch.overrides if state.branch else {})
                if asked is None
                else asked.parameters
            ),
            state_hash=state.chunks[-1].state_hash if state.chunks else None,
            summary=summary,
        )

    async def ended(
        self,
        key: ExperimentId,
        doing: asyncio.Task[None],
        *,
        tell: Callable[[int, int], None],
    ) -> ExperimentReport:
        """Return what came out of an experiment once it is over.

        Raises what `doing` raises, the task that makes its runs.
        """
        patience = Patience(doing)
        while True:
            state = await self._experiment(key)
            count = 0 if state.created is None else state.created.simulations
            tell(len(state.counted), count)
            if state.ended:
                return await self.experiment(key)
            await patience.wait(
                experiment=str(key),
                status="paused" if state.paused else "running",
                ended=len(state.counted),
                of=count,
            )

    async def run_ended(
        self,
        key: SimulationId,
        doing: asyncio.Task[None],
        *,
        tell: Callable[[int, int], None],
    ) -> RunReport:
        """Return what came out of a simulation once it is over, or holds."""
        patience = Patience(doing)
        while True:
            report = await self.run(key)
            tell(report.step, report.steps or 0)
            if report.status not in ("requested", "running"):
                return report
            await patience.wait(
                simulation=str(key),
                status=report.status,
                step=report.step,
                of=report.steps,
            )

    async def _experiment(self, key: ExperimentId) -> experiments.Experiment:
        stream = await self._log.read_stream(f"experiments.experiment-{key}")
        if not stream.events or stream.org_id != self._org_id:
            raise Missing("There is no such experiment.")
        state = experiments.decider.initial
        for recorded in stream.events:
            state = experiments.evolve(state, cast("ExperimentEvent", recorded.event))
        return state


async def prove(
    runs: Runs,
    wanted: Sequence[SimulationId],
    org_id: str,
    *,
    first: int = 0,
    last: int | None = None,
    tell: Callable[[int, int], None],
) -> Proof:
    """Make chunks again from the checkpoints before them, and compare every byte."""
    differences: list[Difference] = []
    chunks = steps = agent_steps = 0
    for done, key in enumerate(wanted):
        tell(done, len(wanted))
        known = await runs.load(key, org_id)
        if known.state.outside.opened is not None:
            raise RunsElsewhere
        try:
            async for made, same in _compared(runs, known, first, last):
                chunks += 1
                steps += made.last - made.first + 1
                agent_steps += made.totals.agent_steps
                if not same:
                    differences.append(
                        Difference(
                            simulation_id=key,
                            first_step=made.first,
                            last_step=made.last,
                            problem="the recorded rows differ",
                        )
                    )
        except ReplayDiffersError as error:
            differences.append(
                Difference(
                    simulation_id=key,
                    first_step=first,
                    last_step=known.state.step if last is None else last,
                    problem=str(error),
                )
            )
    tell(len(wanted), len(wanted))
    return Proof(
        ok=not differences,
        simulations=len(wanted),
        chunks=chunks,
        steps=steps,
        agent_steps=agent_steps,
        differences=differences,
    )


async def _compared(
    runs: Runs, known: Known, first: int, last: int | None
) -> AsyncIterator[tuple[MadeChunk, bool]]:
    """Yield chunks made again, and whether their rows are those recorded."""
    asked = known.state.requested or known.state.branch
    if asked is None or not known.state.chunks:
        return
    upto = known.state.step if last is None else last
    recorded = {chunk.first: chunk.body for chunk in known.state.chunks}
    async for made in runs.again(known, first, upto, asked.capture):
        yield made, recorded.get(made.first) == made.body.sha256


def _described(known: OutsideExperimentDescribed, position: int) -> ExperimentReport:
    return ExperimentReport(
        experiment_id=known.experiment_id,
        name=known.name,
        status=known.status,
        simulations=0,
        counted=0,
        position=position,
        conditions=[],
        runs=[],
    )


def _ordered(state: experiments.Experiment) -> list[SimulationCounted]:
    return [state.counted[number] for number in sorted(state.counted)]
