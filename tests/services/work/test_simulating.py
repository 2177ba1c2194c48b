"""Runs of populations from their request to their end, over work in memory."""

import pytest
from msgspec.structs import replace

from events.errors import Failure
from events.experiments.columnar import decoded, unpacked
from events.experiments.experiments import ExperimentCompleted
from events.experiments.simulations import (
    BranchResolved,
    ChunkRecorded,
    RowsRecorded,
    SimulationCancelled,
    SimulationCompleted,
    SimulationFailed,
    SimulationPaused,
    SimulationStarted,
)
from events.ids import SimulationId
from services.engines.population.configuration import configuration
from services.engines.population.simulation import Simulation
from services.experiments.designs import simulation_id
from services.experiments.experiments import (
    CancelExperiment,
    PauseExperiment,
    ResumeExperiment,
    StartExperiment,
)
from services.experiments.simulations import (
    BranchSimulation,
    CancelSimulation,
    PauseSimulation,
    RequestRows,
    RequestSimulation,
    ResumeSimulation,
)
from services.work.simulating import ReplayDiffersError
from tests.builders import new_id
from tests.services.experiments.examples import (
    BRANCH,
    CREATE,
    EXPERIMENT,
    REQUEST,
    SIMULATION,
    SMALL,
    STRENGTH,
    THINKING,
)
from tests.services.work.floor import Floor


START = StartExperiment(experiment_id=EXPERIMENT)


THOUGHTFULLY = replace(REQUEST, parameters=THINKING)
EITHER = pytest.mark.parametrize(
    "request_", [REQUEST, THOUGHTFULLY], ids=["tables", "networks"]
)


async def made(
    request: RequestSimulation = REQUEST,
    *,
    kill_after: int | None = None,
    workers: int = 1,
) -> Floor:
    """Return a system in which a run of 1,000 steps has ended."""
    floor = Floor(workers=workers)
    floor.kill_after = kill_after
    await floor.ask(request)
    await floor.settle()
    if kill_after is not None:
        floor.kill_after = None
        floor.later(60)
        await floor.settle()
    return floor


async def chunks(floor: Floor, run: SimulationId = SIMULATION) -> list[ChunkRecorded]:
    found = await floor.events(ChunkRecorded)
    return [chunk for chunk in found if chunk.simulation_id == run]


async def test_a_run_is_recorded_chunk_by_chunk_to_its_end() -> None:
    floor = await made()
    found = await chunks(floor)

    assert [(each.first_step, each.last_step) for each in found] == [
        (0, 333),
        (334, 666),
        (667, 999),
        (1_000, 1_000),
    ]
    (completed,) = await floor.events(SimulationCompleted)
    assert completed.summary.steps == 1_000


async def test_what_is_recorded_is_what_the_engine_makes() -> None:
    floor = await made()
    run = Simulation.begin(SMALL, 7)
    for chunk in await chunks(floor):
        expected = run.run(chunk.last_step).tables._asdict()
        assert run.state_hash() == chunk.state_hash
        tables = unpacked(await floor.blobs.get(chunk.body))
        assert tables.keys() == chunk.rows.keys()
        for name in ("steps", "births", "incidents"):
            if name in tables:
                assert decoded(tables[name]).tolist() == expected[name].tolist()


@EITHER
async def test_a_worker_that_dies_anywhere_changes_no_byte(
    request_: RequestSimulation,
) -> None:
    floor = await made(request_)
    whole = [(each.body, each.state_hash) for each in await chunks(floor)]
    for kill_after in range(4):
        found = await chunks(await made(request_, kill_after=kill_after))
        assert [(each.body, each.state_hash) for each in found] == whole


@EITHER
async def test_a_worker_that_was_overtaken_records_nothing_twice(
    request_: RequestSimulation,
) -> None:
    whole = [each.state_hash for each in await chunks(await made(request_))]
    for pause_after in range(4):
        floor = Floor()
        floor.pause_after = pause_after
        await floor.ask(request_)
        await floor.settle()
        found = await chunks(floor)
        assert [each.number for each in found] == [1, 2, 3, 4]
        assert [each.state_hash for each in found] == whole


async def test_an_experiment_is_completed_by_its_last_run() -> None:
    floor = Floor(workers=3)
    await floor.ask(CREATE, START)
    await floor.settle()

    (completed,) = await floor.events(ExperimentCompleted)
    assert completed.completed == 4
    assert [each.runs for each in completed.conditions] == [2, 2]
    weak, strong = completed.conditions
    assert weak.means != strong.means


async def test_no_more_runs_are_made_at_a_time_than_allowed() -> None:
    floor = Floor(workers=4)
    design = replace(CREATE.design, concurrency=2)
    await floor.ask(replace(CREATE, design=design), START)
    await floor.settle()

    assert floor.most_held == 2
    assert len(await floor.events(SimulationCompleted)) == 4


async def test_a_run_holds_goes_on_and_ends_as_if_it_had_not_held() -> None:
    floor = Floor()
    await floor.ask(REQUEST, PauseSimulation(simulation_id=SIMULATION))
    await floor.settle()
    assert await chunks(floor) == []

    for _ in range(3):
        await floor.ask(ResumeSimulation(simulation_id=SIMULATION, steps=1))
        await floor.settle()
    found = await chunks(floor)
    assert [each.last_step for each in found] == [1, 2, 3]
    assert len(await floor.events(SimulationPaused)) == 4

    await floor.ask(ResumeSimulation(simulation_id=SIMULATION))
    await floor.settle()
    last = (await chunks(floor))[-1]
    assert last.state_hash == (await chunks(await made()))[-1].state_hash


async def test_a_run_that_was_ended_makes_no_more_chunks() -> None:
    floor = Floor()
    await floor.ask(REQUEST, CancelSimulation(simulation_id=SIMULATION, reason="No."))
    await floor.settle()

    assert await chunks(floor) == []
    assert len(await floor.events(SimulationCancelled)) == 1


async def test_an_experiment_holds_and_goes_on_with_all_of_its_runs() -> None:
    floor = Floor()
    pause = PauseExperiment(experiment_id=EXPERIMENT)
    await floor.ask(CREATE, START, pause)
    await floor.settle()
    assert await floor.events(ChunkRecorded) == []

    await floor.ask(ResumeExperiment(experiment_id=EXPERIMENT))
    await floor.settle()
    assert len(await floor.events(ExperimentCompleted)) == 1


async def test_an_experiment_that_was_ended_ends_its_runs() -> None:
    floor = Floor()
    cancel = CancelExperiment(experiment_id=EXPERIMENT, reason="No.")
    await floor.ask(CREATE, START, cancel)
    await floor.settle()

    assert await floor.events(ChunkRecorded) == []
    assert len(await floor.events(SimulationCancelled)) == 4


async def test_a_branch_shares_the_past_of_its_parent() -> None:
    floor = await made()
    same = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=400)
    other = replace(
        same, simulation_id=SimulationId(new_id()), overrides={STRENGTH: 50}
    )
    await floor.ask(same, other)
    await floor.settle()

    ends = {
        run: (await chunks(floor, run))[-1]
        for run in (SIMULATION, BRANCH, other.simulation_id)
    }
    assert ends[BRANCH].first_step > 400
    assert ends[BRANCH].state_hash == ends[SIMULATION].state_hash
    assert ends[other.simulation_id].state_hash != ends[SIMULATION].state_hash
    first = (await chunks(floor, BRANCH))[0]
    assert (first.first_step, first.last_step) == (401, 666)
    run = Simulation.begin(SMALL, 7)
    run.run(400)
    resolved = (await floor.events(BranchResolved))[0]
    assert resolved.state_hash == run.state_hash()


async def test_a_branch_takes_the_networks_of_its_parent_along() -> None:
    floor = await made(THOUGHTFULLY)
    same = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=400)
    other = replace(
        same,
        simulation_id=SimulationId(new_id()),
        overrides={"learning.network.updates": 2},
    )
    await floor.ask(same, other)
    await floor.settle()

    ends, taken, changed = [
        (await chunks(floor, run))[-1]
        for run in (SIMULATION, BRANCH, other.simulation_id)
    ]
    assert taken.state_hash == ends.state_hash != changed.state_hash
    started = await floor.events(SimulationStarted)
    assert started[0].numerics == "whole numbers of 1/10000, networks of 32-bit numbers"


async def test_a_branch_may_begin_where_a_chunk_ends() -> None:
    floor = await made()
    branch = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=666)
    await floor.ask(branch)
    await floor.settle()

    found = await chunks(floor, BRANCH)
    assert [each.first_step for each in found] == [667, 1_000]
    assert found[-1].state_hash == (await chunks(floor))[-1].state_hash


async def test_a_branch_of_a_branch_and_from_its_very_beginning() -> None:
    floor = await made()
    begin = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=0)
    again = BranchSimulation(
        simulation_id=SimulationId(new_id()), parent_id=BRANCH, at_step=500, steps=1_200
    )
    await floor.ask(begin)
    await floor.settle()
    await floor.ask(again)
    await floor.settle()

    ends = (await chunks(floor, again.simulation_id))[-1]
    run = Simulation.begin(SMALL, 7)
    run.run(1_200)
    assert (ends.last_step, ends.state_hash) == (1_200, run.state_hash())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"at_step": 1_001}, "last step"),
        ({"parent_id": SimulationId(new_id())}, "There is no such thing"),
        ({"overrides": {"world.width": 9}}, "fixed when a run begins"),
        ({"overrides": {STRENGTH: -1}}, "base_attack_strength"),
        ({"steps": 400}, "nothing after step"),
    ],
)
async def test_a_branch_that_cannot_be_fails_with_the_reason(
    changes: dict[str, object], reason: str
) -> None:
    floor = await made()
    branch = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=400)
    await floor.ask(replace(branch, **changes))
    await floor.settle()

    (failed,) = await floor.events(SimulationFailed)
    assert reason in failed.reason
    assert await chunks(floor, BRANCH) == []


async def test_a_branch_sees_nothing_of_other_organisations() -> None:
    floor = await made()
    meta = replace(floor.meta(), org_id="other")
    branch = BranchSimulation(simulation_id=BRANCH, parent_id=SIMULATION, at_step=400)
    await floor.handler.handle(branch, meta)
    await floor.settle()

    (failed,) = await floor.events(SimulationFailed)
    assert failed.reason == "There is no such thing."


async def test_rows_of_any_steps_can_be_had_later() -> None:
    floor = await made()
    await floor.ask(
        RequestRows(simulation_id=SIMULATION, first_step=300, last_step=340)
    )
    await floor.settle()
    found = await floor.events(RowsRecorded)

    assert [(each.first_step, each.last_step) for each in found] == [
        (300, 333),
        (334, 340),
    ]
    run = Simulation.begin(SMALL, 7)
    tables = run.run(333).tables._asdict()
    rows = decoded(unpacked(await floor.blobs.get(found[0].body))["states"])
    expected = tables["states"]
    assert rows.tolist() == expected[expected["step"] >= 300].tolist()


async def test_steps_that_come_out_otherwise_are_noticed() -> None:
    floor = await made()
    known = await floor.runs.load(SIMULATION, "acme")
    chunk = known.state.chunks[1]
    tampered = replace(known.state, chunks=(replace(chunk, state_hash="0" * 64),))

    with pytest.raises(ReplayDiffersError):
        async for _ in floor.runs.again(
            type(known)(
                simulation_id=SIMULATION,
                number=known.number,
                org_id="acme",
                version=known.version,
                state=tampered,
            ),
            334,
            666,
            known.state.requested.capture,  # type: ignore[union-attr]
        ):
            pass


async def test_runs_of_an_experiment_are_those_that_its_design_says() -> None:
    floor = Floor()
    await floor.ask(CREATE, START)
    await floor.settle()
    design = CREATE.design
    run = simulation_id(EXPERIMENT, 3)
    ends = (await chunks(floor, run))[-1]

    alone = Simulation.begin(
        configuration(
            {
                "population": {"system": 4, "independent": 4, "control": 4},
                "combat": {"base_attack_strength": 40},
            }
        ),
        design.seed,
    )
    alone.run(design.steps)
    assert ends.state_hash == alone.state_hash()


async def test_a_run_nobody_asked_for_cannot_be_held() -> None:
    floor = Floor()
    with pytest.raises(Failure):
        await floor.ask(PauseSimulation(simulation_id=SIMULATION))
