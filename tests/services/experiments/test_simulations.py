import pytest
from msgspec.structs import replace

from events.errors import Failure, Missing
from events.experiments.common import Capture
from events.experiments.simulations import (
    BranchRequested,
    RowsRequested,
    SimulationCancelled,
    SimulationCompleted,
    SimulationFailed,
    SimulationPaused,
    SimulationResumed,
    SimulationStarted,
)
from events.ids import SimulationId
from services.engines.population.configuration import (
    Configuration,
    ConfigurationRefused,
    Population,
)
from services.experiments.common import AlreadyExists, Ended
from services.experiments.simulations import (
    BranchSimulation,
    CancelSimulation,
    ChunkDiffers,
    FailSimulation,
    NotRecorded,
    OutOfOrder,
    PauseSimulation,
    RequestRows,
    RequestSimulation,
    ResumeSimulation,
)
from tests.given import given
from tests.services.experiments.examples import (
    BRANCH,
    NOBODY,
    REQUEST,
    SIMULATION,
    STRENGTH,
    chunk,
    recorded,
    requested,
)


ASKED = requested()
BEGUN = SimulationStarted(
    simulation_id=SIMULATION, engine="population/1", numerics="whole numbers"
)
FIRST = recorded(chunk(1, 333))
PAUSED = SimulationPaused(simulation_id=SIMULATION)


def test_a_run_is_asked_for_with_all_that_it_follows_from() -> None:
    assert ASKED.configuration["combat"]["base_attack_strength"] == 2
    assert (ASKED.seed, ASKED.steps, ASKED.chunk_steps) == (7, 1_000, 333)
    assert ASKED.capture.every == 0
    given(ASKED).when(REQUEST).then()


def test_another_run_under_its_id_is_refused() -> None:
    given(ASKED).when(replace(REQUEST, seed=8)).then_refused(AlreadyExists)


def test_parameters_are_part_of_the_configuration() -> None:
    command = replace(REQUEST, parameters={STRENGTH: 9})
    (event,) = given().when(command).events
    assert event.configuration["combat"]["base_attack_strength"] == 9  # type: ignore[attr-defined]


def test_a_bad_configuration_is_refused() -> None:
    command = RequestSimulation(
        simulation_id=SIMULATION,
        configuration=Configuration(population=Population(maximum=5)),
    )
    given().when(command).then_refused(ConfigurationRefused)


def test_chunks_follow_each_other() -> None:
    given(ASKED).when(chunk(1, 333)).then(BEGUN, FIRST)
    second = chunk(2, 666)
    given(ASKED, BEGUN, FIRST).when(second).then(recorded(second))


@pytest.mark.parametrize("number", [2, 3])
def test_a_chunk_that_does_not_follow_is_refused(number: int) -> None:
    given(ASKED).when(chunk(number, number * 333)).then_refused(OutOfOrder)


def test_a_second_copy_of_a_chunk_changes_nothing() -> None:
    given(ASKED, BEGUN, FIRST).when(chunk(1, 333)).then()


def test_a_copy_that_differs_in_a_byte_is_refused() -> None:
    other = chunk(1, 333, body="c")
    given(ASKED, BEGUN, FIRST).when(other).then_refused(ChunkDiffers)


def test_the_last_chunk_completes_the_run() -> None:
    history = [FIRST, recorded(chunk(2, 666)), recorded(chunk(3, 999))]
    result = given(ASKED, BEGUN, *history).when(chunk(4, 1_000))
    _, completed = result.events

    assert isinstance(completed, SimulationCompleted)
    assert completed.termination == "steps_done"
    summary = completed.summary
    assert (summary.births, summary.deaths, summary.peak_agents) == (12, 20, 14)
    assert (summary.steps, summary.agents, summary.agent_steps) == (1_000, 9, 8_000)


def test_a_run_ends_when_nobody_lives() -> None:
    _, _, completed = given(ASKED).when(chunk(1, 200, extinct=True)).events
    assert isinstance(completed, SimulationCompleted)
    assert completed.termination == "extinct"


def test_a_run_holds_and_goes_on() -> None:
    resumed = SimulationResumed(simulation_id=SIMULATION, turn=2)
    resume = ResumeSimulation(simulation_id=SIMULATION)

    given(ASKED).when(PauseSimulation(simulation_id=SIMULATION)).then(PAUSED)
    given(ASKED, PAUSED).when(PauseSimulation(simulation_id=SIMULATION)).then()
    given(ASKED, PAUSED).when(resume).then(resumed)
    given(ASKED).when(resume).then()


def test_a_run_holds_again_after_a_single_step() -> None:
    resumed = SimulationResumed(simulation_id=SIMULATION, turn=2, until=334)
    history = [ASKED, BEGUN, FIRST, PAUSED]
    step = chunk(2, 334)

    given(*history).when(ResumeSimulation(simulation_id=SIMULATION, steps=1)).then(
        resumed
    )
    given(*history, resumed).when(step).then(recorded(step), PAUSED)


def test_a_run_is_ended_once() -> None:
    cancel = CancelSimulation(simulation_id=SIMULATION, reason="Enough.")
    ended = SimulationCancelled(
        simulation_id=SIMULATION, experiment_id=None, number=1, reason="Enough."
    )

    given(ASKED).when(cancel).then(ended)
    given(ASKED, ended).when(cancel).then_refused(Ended)
    given(ASKED, ended).when(chunk(1, 333)).then_refused(Ended)


def test_a_run_that_cannot_be_made_fails_once() -> None:
    fail = FailSimulation(simulation_id=SIMULATION, reason="It broke.")
    failed = SimulationFailed(
        simulation_id=SIMULATION, experiment_id=None, number=1, reason="It broke."
    )
    given(ASKED).when(fail).then(failed)
    given(ASKED, failed).when(fail).then()


@pytest.mark.parametrize(
    ("first", "last", "path"),
    [(334, None, "$.last_step"), (0, 400, "$.last_step"), (9, 8, "$.last_step")],
)
def test_rows_of_steps_that_were_not_made_are_refused(
    first: int, last: int | None, path: str
) -> None:
    asked = RequestRows(simulation_id=SIMULATION, first_step=first, last_step=last)
    result = given(ASKED, BEGUN, FIRST).when(asked)
    result.then_refused(NotRecorded)
    assert result.failure is not None
    assert result.failure.path == path


def test_rows_can_be_asked_for_again_and_again() -> None:
    asked = RequestRows(simulation_id=SIMULATION, first_step=10)
    first = RowsRequested(
        simulation_id=SIMULATION, request=1, first_step=10, last_step=333
    )
    given(ASKED, BEGUN, FIRST).when(asked).then(first)
    given(ASKED, BEGUN, FIRST, first).when(asked).then(replace(first, request=2))


def test_a_branch_is_asked_for_once() -> None:
    command = BranchSimulation(
        simulation_id=BRANCH,
        parent_id=SIMULATION,
        at_step=100,
        overrides={STRENGTH: 9},
    )
    event = BranchRequested(
        simulation_id=BRANCH,
        parent_id=SIMULATION,
        at_step=100,
        overrides={STRENGTH: 9},
        steps=None,
        capture=Capture(every=0),
    )
    given().when(command).then(event)
    given(event).when(command).then()
    given(event).when(replace(command, at_step=9)).then_refused(AlreadyExists)


def test_a_branch_names_parameters_that_there_are() -> None:
    command = BranchSimulation(
        simulation_id=BRANCH, parent_id=SIMULATION, at_step=1, overrides={"a.b": 9}
    )
    given().when(command).then_refused(ConfigurationRefused)


def test_a_run_that_is_not_there_is_missing() -> None:
    command = PauseSimulation(simulation_id=SimulationId(NOBODY))
    failure: type[Failure] = Missing
    given().when(command).then_refused(failure)
