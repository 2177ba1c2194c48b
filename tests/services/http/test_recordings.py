"""Recorded runs are read from the log: whole, branched, made again, too large."""

from typing import Any, Final
from uuid import UUID

import numpy as np
import pytest

from events.errors import Missing, TooLarge
from events.experiments.columnar import archived, decoded, encoded
from events.experiments.common import Capture
from events.experiments.outside import OutsideSimulationEvent
from events.experiments.simulations import (
    BranchRequested,
    BranchResolved,
    ChunkRecorded,
    RowsRecorded,
    SimulationRequested,
    Totals,
)
from events.ids import SimulationId
from events.log import Stream
from events.message import Event
from infra.clock import new_id, now
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from services.experiments.analysis.recording import OutsideRecording, Recording
from services.http.recordings import ALWAYS, Recordings
from tests.recorded import recorded
from tests.services.experiments.outside_examples import ELSEWHERE, happened


PARENT, CHILD = SimulationId(UUID(int=1)), SimulationId(UUID(int=2))
ORG: Final = "acme"
WHOLE: Final = Capture()


class Streams(MemoryEventLog):
    """A log of given streams."""

    def __init__(self) -> None:
        super().__init__(clock=now, ids=new_id)
        self._given: dict[str, Stream] = {}

    def hold(self, simulation_id: SimulationId, *events: Event) -> None:
        name = f"experiments.simulation-{simulation_id}"
        told = recorded(*events, after=40, org_id=ORG, stream_id=name)
        self._given[name] = Stream(
            stream_id=name, org_id=ORG, version=len(told), events=told
        )

    async def read_stream(
        self,
        stream_id: str,
        *,
        after: int = 0,
        upto: int | None = None,
        limit: int | None = None,
    ) -> Stream:
        known = self._given.get(stream_id)
        return known or await super().read_stream(
            stream_id, after=after, upto=upto, limit=limit
        )


def requested(capture: Capture = WHOLE) -> SimulationRequested:
    return SimulationRequested(
        simulation_id=PARENT,
        experiment_id=None,
        number=1,
        configuration={"ruleset": "farm-1"},
        parameters={"combat.base_attack_strength": 4},
        seed=7,
        steps=9,
        chunk_steps=5,
        capture=capture,
    )


def branched(at_step: int) -> list[Event]:
    return [
        BranchRequested(
            simulation_id=CHILD,
            parent_id=PARENT,
            at_step=at_step,
            overrides={"world.width": 50},
            steps=None,
            capture=WHOLE,
        ),
        BranchResolved(
            simulation_id=CHILD,
            parent_number=41,
            configuration={"ruleset": "farm-1"},
            seed=7,
            steps=9,
            chunk_steps=5,
            checkpoint="",
            state_hash="",
        ),
    ]


def chunk(of: SimulationId, number: int, steps: range, body: str) -> ChunkRecorded:
    return ChunkRecorded(
        simulation_id=of,
        simulation=41,
        number=number,
        first_step=steps[0],
        last_step=steps[-1],
        ruleset="farm-1",
        resource_nodes=20,
        starvation_threshold=15,
        body=body,
        rows={},
        state_hash="",
        checkpoint="",
        extinct=False,
        totals=Totals(births=0, deaths=0, peak_agents=0, agent_steps=0),
        latest={},
    )


class Place:
    """Two runs of ten steps: one whole, one that branches from it."""

    def __init__(self) -> None:
        self.log = Streams()
        self.blobs = MemoryBlobs()

    async def body(self, steps: range, *more: str) -> str:
        rows = np.array([(step,) for step in steps], dtype=[("step", "<i4")])
        tables = {name: encoded(rows) for name in ("steps", *more)}
        return await self.blobs.put(archived(tables), media_type="test/chunk")

    async def parent(self, capture: Capture = WHOLE, *more: Event) -> None:
        early, late = range(5), range(5, 10)
        self.log.hold(
            PARENT,
            requested(capture),
            chunk(PARENT, 1, early, await self.body(early, "births", "states")),
            chunk(PARENT, 2, late, await self.body(late, "deaths")),
            *more,
        )

    async def read(self, run: UUID, **how: Any) -> Recording:  # noqa: ANN401 - passed on
        largest = how.pop("largest", 1 << 20)
        recordings = Recordings(log=self.log, blobs=self.blobs, largest=largest)
        found = await recordings.read(run, **{"org_id": ORG, **how})
        assert isinstance(found, Recording)
        return found


def steps_of(recording: Recording) -> list[int]:
    return [
        int(step)
        for piece in recording.pieces
        for step in decoded(piece.tables["steps"])["step"]
        if piece.upto is None or step <= piece.upto
    ]


async def test_a_run_is_its_chunks_in_order() -> None:
    place = Place()
    await place.parent()
    found = await place.read(PARENT)
    assert steps_of(found) == list(range(10))
    assert [set(piece.tables) for piece in found.pieces] == [
        {"steps", "births", "states"},
        {"steps", "deaths"},
    ]
    assert (found.seed, found.nodes, found.simulation_id) == (7, 20, 41)
    assert found.parameters == {"combat.base_attack_strength": 4}
    assert found.complete
    always = await place.read(PARENT, tables=ALWAYS)
    assert set(always.pieces[0].tables) == {"steps", "births"}


async def test_a_branch_begins_with_what_it_has_in_common() -> None:
    place = Place()
    await place.parent()
    own = range(8, 10)
    body = await place.body(own)
    place.log.hold(CHILD, *branched(7), chunk(CHILD, 1, own, body))
    found = await place.read(CHILD)
    assert steps_of(found) == list(range(10))
    assert [piece.upto for piece in found.pieces] == [None, 7, None]
    assert found.parameters == {"world.width": 50}
    early = Place()
    await early.parent()
    early.log.hold(CHILD, *branched(4))
    assert steps_of(await early.read(CHILD)) == list(range(5))


async def test_a_branch_that_is_not_resolved_is_not_there_yet() -> None:
    place = Place()
    place.log.hold(CHILD, *branched(4)[:1])
    with pytest.raises(Missing):
        await place.read(CHILD)


async def test_rows_that_were_made_again_take_the_place_of_what_was_sparse() -> None:
    sparse = Capture(every=0)
    place = Place()
    await place.parent(sparse)
    assert not (await place.read(PARENT)).complete
    again = [
        RowsRecorded(
            simulation_id=PARENT,
            simulation=41,
            request=1,
            first_step=steps[0],
            last_step=steps[-1],
            body=await place.body(steps, "actions"),
            rows={},
        )
        for steps in (range(5), range(5, 10))
    ]
    await place.parent(sparse, *again)
    found = await place.read(PARENT)
    assert found.complete
    assert all("actions" in piece.tables for piece in found.pieces)


async def test_another_organisations_run_is_missing() -> None:
    place = Place()
    await place.parent()
    with pytest.raises(Missing):
        await place.read(PARENT, org_id="other")
    with pytest.raises(Missing):
        await place.read(CHILD)


async def test_rows_past_the_limit_are_not_kept_in_memory() -> None:
    place = Place()
    await place.parent()
    whole = await place.read(PARENT)
    assert (await place.read(PARENT, largest=whole.size)).size == whole.size
    with pytest.raises(TooLarge):
        await place.read(PARENT, largest=whole.size - 1)


async def test_what_was_made_elsewhere_comes_as_it_was_handed_in() -> None:
    place = Place()
    story = [each for each in happened() if isinstance(each, OutsideSimulationEvent)]
    place.log.hold(ELSEWHERE, *story)
    recordings = Recordings(log=place.log, blobs=place.blobs, largest=1 << 20)
    found = await recordings.read(ELSEWHERE, org_id=ORG)
    few = await recordings.read(ELSEWHERE, org_id=ORG, tables=ALWAYS)
    assert isinstance(found, OutsideRecording)
    assert isinstance(few, OutsideRecording)
    assert (len(found.batches), found.last_step) == (3, 4)
    assert ("status", "completed") in found.about
    assert found.rows > few.rows
    with pytest.raises(TooLarge):
        await Recordings(log=place.log, blobs=place.blobs, largest=80).read(
            ELSEWHERE, org_id=ORG
        )
