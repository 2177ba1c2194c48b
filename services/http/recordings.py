"""Recorded runs, read from the log and the bodies that it names."""

from collections.abc import Mapping, Sequence
from typing import Final, cast
from uuid import UUID

from events.errors import Missing, TooLarge
from events.experiments.columnar import unpacked
from events.experiments.common import Capture
from events.experiments.outside import OutsideRowsRecorded, OutsideSimulationOpened
from events.experiments.simulations import (
    ChunkRecorded,
    RowsRecorded,
    SimulationEvent,
)
from events.log import Blobs, EventLog
from events.message import Event, Recorded
from services.experiments import simulations
from services.experiments.analysis.recording import (
    AnyRecording,
    OutsideRecording,
    Piece,
    Recording,
)
from services.experiments.outside import RunsElsewhere
from services.experiments.simulations import Simulation


LARGEST: Final = 256 << 20
ALWAYS: Final = frozenset({"steps", "births", "deaths", "incidents", "refusals"})
EVERYTHING: Final = frozenset({*ALWAYS, "states", "nodes", "actions", "lessons"})
WHOLE: Final = Capture()
FARM_1: Final = "farm-1"
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "steps": ("simulation_steps",),
    "births": ("agents",),
    "deaths": ("agent_deaths",),
    "incidents": ("health_incidents",),
    "states": ("agent_states",),
    "nodes": ("resource_states",),
    "actions": ("agent_actions",),
    "lessons": ("learning_experiences",),
}
"""Where rows of a table are found of what was made elsewhere."""


class Recordings:
    """Reads recorded runs; raises `TooLarge` past `largest` bytes of rows."""

    def __init__(self, *, log: EventLog, blobs: Blobs, largest: int = LARGEST) -> None:
        self._log = log
        self._blobs = blobs
        self._largest = largest

    async def read(
        self,
        simulation_id: UUID,
        *,
        org_id: str,
        tables: frozenset[str] = EVERYTHING,
        upto: int | None = None,
    ) -> AnyRecording:
        """Return a run up to a step, with what it has in common with its parent.

        What was recorded elsewhere comes as it was handed in, whole.
        """
        name = f"{simulations.decider.category}-{simulation_id}"
        stream = await self._log.read_stream(name)
        if not stream.events or stream.org_id != org_id:
            raise Missing("There is no such simulation.")
        state = _folded(stream.events)
        if state.outside.opened is not None:
            return self._elsewhere(stream.events, state, tables)
        if state.configuration is None:
            raise Missing("It is not known yet where this branch begins.")
        before: list[Piece] = []
        complete = _whole(state, stream.events)
        if state.branch is not None:
            parent = await self.read(
                state.branch.parent_id,
                org_id=org_id,
                tables=tables,
                upto=_least(upto, state.branch.at_step),
            )
            if isinstance(parent, OutsideRecording):
                raise RunsElsewhere
            before = parent.pieces
            complete = complete and parent.complete
        own = await self._pieces(stream.events, tables, upto)
        chunk = next(iter(_chunks(stream.events)), None)
        asked = state.requested
        overrides = None if state.branch is None else state.branch.overrides
        found = Recording(
            simulation_id=stream.events[0].position,
            position=stream.events[-1].position,
            seed=state.seed,
            ruleset=chunk.ruleset if chunk else FARM_1,
            nodes=chunk.resource_nodes if chunk else 0,
            complete=complete,
            parameters=dict((asked.parameters if asked else overrides) or {}),
            pieces=[*before, *own],
            about=_about(state, chunk.ruleset if chunk else FARM_1),
        )
        self._check(found)
        return found

    def _elsewhere(
        self,
        events: Sequence[Recorded[Event]],
        state: Simulation,
        tables: frozenset[str],
    ) -> OutsideRecording:
        """Return a run that was made elsewhere, as it was handed in."""
        batches = [
            each.event for each in events if isinstance(each.event, OutsideRowsRecorded)
        ]
        named = [name for table in sorted(tables) for name in NAMES.get(table, ())]
        opened = state.outside.opened
        found = OutsideRecording(
            simulation_id=events[0].position,
            position=events[-1].position,
            parameters={} if opened is None else dict(opened.parameters),
            batches=[batch.body for batch in batches if batch.rows.keys() & set(named)],
            tables=named,
            rows=sum(
                count
                for batch in batches
                for name, count in batch.rows.items()
                if name in named
            ),
            last_step=state.outside.last_step,
            about=[] if opened is None else _about_elsewhere(opened, state),
        )
        self._check(found)
        return found

    def _check(self, found: AnyRecording) -> None:
        if found.size > self._largest:
            message = f"The rows of this run are more than {self._largest} bytes."
            raise TooLarge(message)

    async def _pieces(
        self,
        events: Sequence[Recorded[Event]],
        tables: frozenset[str],
        upto: int | None,
    ) -> list[Piece]:
        found: list[Piece] = []
        size = 0
        for first, last, body in _bodies(events):
            if upto is not None and first > upto:
                break
            rows = {
                name: own
                for name, own in unpacked(await self._blobs.get(body)).items()
                if name in tables
            }
            size += sum(map(len, rows.values()))
            if size > self._largest:
                message = f"The rows of this run are more than {self._largest} bytes."
                raise TooLarge(message)
            cut = upto if upto is not None and upto < last else None
            found.append(Piece(tables=rows, upto=cut))
        return found


def _folded(events: Sequence[Recorded[Event]]) -> Simulation:
    state = simulations.decider.initial
    for recorded in events:
        state = simulations.evolve(state, cast("SimulationEvent", recorded.event))
    return state


def _about(state: Simulation, ruleset: str) -> list[tuple[str, str]]:
    """Return what people are told of a run."""
    status = "running" if state.chunks else "requested"
    asked = state.requested
    overrides = {} if state.branch is None else state.branch.overrides
    parameters = overrides if asked is None else asked.parameters
    told = ", ".join(f"{path} = {value}" for path, value in parameters.items())
    return [
        ("status", state.ended or ("paused" if state.paused else status)),
        ("rules", ruleset),
        ("seed", str(state.seed)),
        ("steps", f"{max(state.step, 0)} of {state.steps}"),
        ("parameters", told or "as configured"),
        ("hash of the state", state.chunks[-1].state_hash if state.chunks else ""),
    ]


def _about_elsewhere(
    opened: OutsideSimulationOpened, state: Simulation
) -> list[tuple[str, str]]:
    """Return what people are told of a run that was made elsewhere."""
    told = ", ".join(f"{path} = {value}" for path, value in opened.parameters.items())
    return [
        ("status", state.ended or "running"),
        ("made by", f"{opened.model}, {opened.origin}, not made here"),
        ("name there", opened.name),
        ("last step", str(max(state.outside.last_step, 0))),
        ("parameters", told or "none told"),
    ]


def _bodies(events: Sequence[Recorded[Event]]) -> list[tuple[int, int, str]]:
    """Return the chunks of a run; where rows of all of one were made later, those."""
    found = {
        (event.first_step, event.last_step): event.body
        for kind in (ChunkRecorded, RowsRecorded)
        for event in (recorded.event for recorded in events)
        if isinstance(event, kind)
    }
    return [
        (chunk.first_step, chunk.last_step, found[chunk.first_step, chunk.last_step])
        for chunk in _chunks(events)
    ]


def _chunks(events: Sequence[Recorded[Event]]) -> list[ChunkRecorded]:
    return [each.event for each in events if isinstance(each.event, ChunkRecorded)]


def _whole(state: Simulation, events: Sequence[Recorded[Event]]) -> bool:
    asked = state.requested or state.branch
    if asked is not None and asked.capture == WHOLE:
        return True
    made = {
        (each.event.first_step, each.event.last_step)
        for each in events
        if isinstance(each.event, RowsRecorded)
    }
    return all((chunk.first, chunk.last) in made for chunk in state.chunks)


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
