"""The jobs `simulate` and `simulated_rows`: make a run's steps, or make some again.

Each chunk is in the log before the next is made, under the fence of the job's lease. A
job that is taken over goes on from the last checkpoint. Since a run follows from its
configuration and seed, a worker that was overtaken has made the very same bytes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import msgspec

from events.errors import Failure, Missing, Refused
from events.experiments.common import Capture
from events.experiments.simulations import BranchRequested, SimulationEvent
from events.ids import SimulationId
from events.log import Blobs, EventLog
from events.message import Command, Event, Meta, Recorded
from services.engines.population.chunks import (
    CHECKPOINT,
    ENGINE,
    NUMERICS,
    WITH_NETWORKS,
    Begin,
    MadeChunk,
)
from services.engines.population.configuration import branched, configuration, tree
from services.experiments import simulations
from services.experiments.outside import RunsElsewhere
from services.experiments.reactions import RowsBody, SimulateBody
from services.experiments.simulations import (
    FailSimulation,
    RecordChunk,
    RecordRows,
    ResolveBranch,
    Simulation,
)
from services.ports import Clock, Lease
from services.work.populations import Population, Populations
from services.work.results import result_meta


NOTHING: Final = Capture(every=0)

Handle = Callable[[Command, Meta], Awaitable[object]]


class NoSuchStep(Refused):
    """The run that it branches from has no such step."""


class ReplayDiffersError(Exception):
    """Steps that were made again are not what was recorded."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A run as the log knows it, and the number by which tables know it."""

    simulation_id: SimulationId
    number: int
    org_id: str
    version: int
    state: Simulation


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Where runs are read from and made."""

    log: EventLog
    blobs: Blobs
    populations: Populations

    async def load(self, simulation_id: SimulationId, org_id: str) -> Known:
        """Return a run, or raise `Missing`."""
        stream = await self.log.read_stream(stream_of(simulation_id))
        if not stream.events or stream.org_id != org_id:
            raise Missing
        return Known(
            simulation_id=simulation_id,
            number=stream.events[0].position,
            org_id=org_id,
            version=stream.version,
            state=folded(simulations.decider.initial, stream.events),
        )

    async def refreshed(self, known: Known) -> Known:
        """Return a run as it is by now."""
        name = stream_of(known.simulation_id)
        stream = await self.log.read_stream(name, after=known.version)
        state = folded(known.state, stream.events)
        return replace(known, version=stream.version, state=state)

    async def begin(self, known: Known, step: int, capture: Capture) -> Begin:
        """Return how to go on after a step, or from the last checkpoint before it.

        Step -1 is before the first.
        """
        state = known.state
        digest = None if state.resolved is None else state.resolved.checkpoint
        for chunk in state.chunks:
            if chunk.last <= step:
                digest = chunk.checkpoint
        return Begin(
            configuration=state.configuration or {},
            seed=state.seed,
            capture=capture,
            checkpoint=None if digest is None else await self.blobs.get(digest),
        )

    async def again(
        self, known: Known, first: int, last: int, capture: Capture
    ) -> AsyncIterator[MadeChunk]:
        """Make recorded steps again, chunk by chunk, and check each one's state."""
        wanted = [
            chunk
            for chunk in known.state.chunks
            if chunk.last >= first and chunk.first <= last
        ]
        if not wanted:
            return
        begin = await self.begin(known, wanted[0].first - 1, capture)
        async with self.populations.opened(begin) as population:
            for chunk in wanted:
                made = await population.run(chunk.last)
                if made.state_hash != chunk.state_hash:
                    message = f"Steps {made.first} to {made.last} differ."
                    raise ReplayDiffersError(message)
                yield made

    async def state_at(self, known: Known, step: int) -> tuple[bytes, str]:
        """Return the checkpoint of a step that was made, and its hash."""
        for chunk in known.state.chunks:
            if chunk.last == step:
                return await self.blobs.get(chunk.checkpoint), chunk.state_hash
        begin = await self.begin(known, step, NOTHING)
        async with self.populations.opened(begin) as population:
            made = await population.run(step)
        return made.checkpoint.opened(), made.state_hash


class Simulate:
    """Makes runs."""

    def __init__(self, runs: Runs, *, handle: Handle, clock: Clock) -> None:
        self._runs = runs
        self._handle = handle
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Make a run until it holds or ends."""
        body = msgspec.convert(lease.job.body, SimulateBody)
        known = await self._runs.load(body.simulation_id, lease.job.org_id)
        if known.state.branch is not None and known.state.resolved is None:
            if not await self._resolve(lease, known, known.state.branch):
                return
            known = await self._runs.refreshed(known)
        if _holds(known.state, body.turn):
            return
        asked = known.state.requested or known.state.branch
        capture = NOTHING if asked is None else asked.capture
        begin = await self._runs.begin(known, known.state.step, capture)
        async with self._runs.populations.opened(begin) as population:
            while not _holds(known.state, body.turn):
                await self._chunk(lease, known, population)
                known = await self._runs.refreshed(known)

    async def _chunk(self, lease: Lease, known: Known, population: Population) -> None:
        state = known.state
        made = await population.run(state.boundary)
        await self._runs.blobs.put_packed(made.body, made.checkpoint)
        number = len(state.chunks) + 1
        command = RecordChunk(
            simulation_id=known.simulation_id,
            simulation=known.number,
            engine=ENGINE,
            numerics=_numerics(state),
            number=number,
            first_step=made.first,
            last_step=made.last,
            body=made.body.sha256,
            rows=made.rows,
            state_hash=made.state_hash,
            checkpoint=made.checkpoint.sha256,
            extinct=made.extinct,
            totals=made.totals,
            latest=made.latest,
        )
        await self._tell(lease, command, f"chunk-{number}-{made.last}")

    async def _resolve(
        self, lease: Lease, known: Known, branch: BranchRequested
    ) -> bool:
        """Find out where a branch begins; where that cannot be the run fails."""
        try:
            command: Command = await self._resolution(lease, known, branch)
        except Failure as failure:
            at = "" if failure.path is None else f" ({failure.path})"
            command = FailSimulation(
                simulation_id=known.simulation_id, reason=f"{failure}{at}"
            )
        await self._tell(lease, command, "resolve")
        return isinstance(command, ResolveBranch)

    async def _resolution(
        self, lease: Lease, known: Known, branch: BranchRequested
    ) -> ResolveBranch:
        parent = await self._runs.load(branch.parent_id, lease.job.org_id)
        state = parent.state
        base = state.configuration
        if state.outside.opened is not None:
            raise RunsElsewhere(path="$.parent_id")
        if (
            base is None
            or not state.chunks
            or not (state.chunks[0].first <= branch.at_step <= state.step)
        ):
            message = f"The last step of the run that it branches from is {state.step}."
            raise NoSuchStep(message, path="$.at_step")
        steps = state.steps if branch.steps is None else branch.steps
        if steps <= branch.at_step:
            message = f"There is nothing after step {branch.at_step} of {steps}."
            raise NoSuchStep(message, path="$.steps")
        made = branched(configuration(base), branch.overrides)
        checkpoint, digest = await self._runs.state_at(parent, branch.at_step)
        return ResolveBranch(
            simulation_id=known.simulation_id,
            parent_number=parent.number,
            configuration=tree(made),
            seed=state.seed,
            steps=steps,
            checkpoint=await self._runs.blobs.put(checkpoint, media_type=CHECKPOINT),
            state_hash=digest,
        )

    async def _tell(self, lease: Lease, command: Command, name: str) -> None:
        await self._handle(command, result_meta(lease, name, occurred_at=self._clock()))


class SimulateRows:
    """Makes steps again for their rows."""

    def __init__(self, runs: Runs, *, handle: Handle, clock: Clock) -> None:
        self._runs = runs
        self._handle = handle
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Make the steps of a request, and record their rows chunk by chunk."""
        body = msgspec.convert(lease.job.body, RowsBody)
        known = await self._runs.load(body.simulation_id, lease.job.org_id)
        capture = Capture(first=body.first_step, last=body.last_step)
        async for made in self._runs.again(
            known, body.first_step, body.last_step, capture
        ):
            first = max(made.first, body.first_step)
            await self._runs.blobs.put_packed(made.body)
            command = RecordRows(
                simulation_id=known.simulation_id,
                simulation=known.number,
                request=body.request,
                first_step=first,
                last_step=min(made.last, body.last_step),
                body=made.body.sha256,
                rows=made.rows,
            )
            await self._handle(
                command, result_meta(lease, f"rows-{first}", occurred_at=self._clock())
            )


def _holds(state: Simulation, turn: int) -> bool:
    """Say whether there is nothing to do for a job, now or any more."""
    return state.ended is not None or state.paused or state.turn != turn


def _numerics(state: Simulation) -> str:
    """Return which numbers a run is calculated in."""
    made = configuration(state.configuration or {})
    return WITH_NETWORKS if made.learning.mode == "dqn" else NUMERICS


def stream_of(simulation_id: SimulationId) -> str:
    """Return the name of a run's stream."""
    return f"{simulations.decider.category}-{simulation_id}"


def folded(state: Simulation, events: Sequence[Recorded[Event]]) -> Simulation:
    """Return the state after more events of a run's stream."""
    for recorded in events:
        state = simulations.evolve(state, cast("SimulationEvent", recorded.event))
    return state
