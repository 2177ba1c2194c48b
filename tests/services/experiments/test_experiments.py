import pytest

from events.errors import Failure, Missing
from events.experiments.experiments import (
    ExperimentCancelled,
    ExperimentCompleted,
    ExperimentPaused,
    ExperimentResumed,
    SimulationCounted,
    Summary,
)
from events.ids import ExperimentId
from services.engines.population.configuration import (
    Configuration,
    ConfigurationRefused,
    Population,
)
from services.experiments.common import AlreadyExists, Ended
from services.experiments.designs import (
    GivenDesign,
    GivenRange,
    NoRange,
    NoSamples,
    SeedsRunOut,
    TooManySimulations,
    simulation_id,
)
from services.experiments.experiments import (
    CancelExperiment,
    CountSimulation,
    CreateExperiment,
    NotStarted,
    PauseExperiment,
    ResumeExperiment,
    StartExperiment,
)
from tests.given import given
from tests.services.experiments.examples import (
    CREATE,
    CREATED,
    DESIGN,
    EXPERIMENT,
    NOBODY,
    SMALL,
    STARTED,
    STRENGTH,
)


PAUSED = ExperimentPaused(experiment_id=EXPERIMENT, simulations=4)


def summary(agents: int) -> Summary:
    return Summary(
        steps=40,
        agents=agents,
        peak_agents=12,
        births=1,
        deaths=2,
        generations=1,
        total_resources=1.5,
        average_reward=2.5,
        genetic_diversity=0.25,
        agent_steps=400,
    )


def count(number: int, agents: int | None = None) -> CountSimulation:
    return CountSimulation(
        experiment_id=EXPERIMENT,
        simulation_id=simulation_id(EXPERIMENT, number),
        number=number,
        outcome="failed" if agents is None else "completed",
        summary=None if agents is None else summary(agents),
    )


def counted(number: int, agents: int) -> SimulationCounted:
    return SimulationCounted(
        experiment_id=EXPERIMENT,
        simulation_id=simulation_id(EXPERIMENT, number),
        number=number,
        outcome="completed",
        summary=summary(agents),
    )


def test_an_experiment_is_set_up_with_its_whole_design() -> None:
    given().when(CREATE).then(CREATED)


def test_setting_it_up_twice_changes_nothing() -> None:
    given(CREATED).when(CREATE).then()


def test_another_experiment_under_its_id_is_refused() -> None:
    other = CreateExperiment(experiment_id=EXPERIMENT, name="Another")
    given(CREATED).when(other).then_refused(AlreadyExists)


def test_its_runs_are_asked_for_once() -> None:
    start = StartExperiment(experiment_id=EXPERIMENT)
    given(CREATED).when(start).then(STARTED)
    given(CREATED, STARTED).when(start).then()


def test_an_experiment_that_is_not_there_is_missing() -> None:
    nobody = StartExperiment(experiment_id=ExperimentId(NOBODY))
    given().when(nobody).then_refused(Missing)


@pytest.mark.parametrize(
    ("design", "failure", "path"),
    [
        (
            GivenDesign(grid={"combat.strength": [1]}),
            ConfigurationRefused,
            "$.combat.strength",
        ),
        (
            GivenDesign(grid={STRENGTH: [2, -1]}),
            ConfigurationRefused,
            f"$.{STRENGTH}",
        ),
        (
            GivenDesign(configuration=Configuration(population=Population(maximum=5))),
            ConfigurationRefused,
            "$.design.configuration.population.maximum",
        ),
        (
            GivenDesign(iterations=10_000, grid={STRENGTH: [1, 2]}),
            TooManySimulations,
            "$.design",
        ),
        (
            GivenDesign(ranges={STRENGTH: GivenRange(low=3, high=3)}, samples=2),
            NoRange,
            f"$.design.ranges.{STRENGTH}",
        ),
        (GivenDesign(samples=2), NoSamples, "$.design.samples"),
        (
            GivenDesign(ranges={STRENGTH: GivenRange(low=1, high=3)}),
            NoSamples,
            "$.design.samples",
        ),
        (
            GivenDesign(iterations=2, seed=2**63 - 1),
            SeedsRunOut,
            "$.design.seed",
        ),
    ],
)
def test_a_design_that_cannot_be_is_refused_with_its_path(
    design: GivenDesign, failure: type[Failure], path: str
) -> None:
    command = CreateExperiment(experiment_id=EXPERIMENT, name="Odd", design=design)
    result = given().when(command)
    result.then_refused(failure)
    assert result.failure is not None
    assert result.failure.path == path


def test_the_last_run_completes_it_and_compares_the_conditions() -> None:
    history = [counted(1, 8), counted(2, 12), counted(3, 2)]
    result = given(CREATED, STARTED, *history).when(count(4))
    _, completed = result.events

    assert isinstance(completed, ExperimentCompleted)
    assert (completed.completed, completed.failed, completed.cancelled) == (3, 1, 0)
    weak, strong = completed.conditions
    assert weak.parameters == {STRENGTH: 2}
    assert (weak.runs, weak.means["agents"]) == (2, 10)
    assert weak.deviations["agents"] == pytest.approx(8**0.5)
    assert (strong.runs, strong.means["agents"], strong.deviations) == (1, 2, {})


def test_a_run_is_counted_once() -> None:
    given(CREATED, STARTED).when(count(1, 8)).then(counted(1, 8))
    given(CREATED, STARTED, counted(1, 8)).when(count(1, 8)).then()


def test_it_holds_and_goes_on() -> None:
    pause = PauseExperiment(experiment_id=EXPERIMENT)
    resume = ResumeExperiment(experiment_id=EXPERIMENT)
    resumed = ExperimentResumed(experiment_id=EXPERIMENT, simulations=4)

    given(CREATED, STARTED).when(pause).then(PAUSED)
    given(CREATED, STARTED, PAUSED).when(pause).then()
    given(CREATED, STARTED, PAUSED).when(resume).then(resumed)
    given(CREATED, STARTED).when(resume).then()
    given(CREATED).when(pause).then_refused(NotStarted)


def test_it_ends_before_its_last_run() -> None:
    cancel = CancelExperiment(experiment_id=EXPERIMENT, reason="Enough.")
    ended = ExperimentCancelled(
        experiment_id=EXPERIMENT, simulations=4, reason="Enough."
    )

    given(CREATED, STARTED).when(cancel).then(ended)
    given(CREATED, STARTED, ended).when(cancel).then_refused(Ended)
    given(CREATED, STARTED, ended).when(count(1, 8)).then()


def test_the_default_design_is_one_run() -> None:
    command = CreateExperiment(experiment_id=EXPERIMENT, name="Plain")
    (created,) = given().when(command).events
    assert created.simulations == 1  # type: ignore[attr-defined]


def test_designs_of_the_examples_are_what_they_say() -> None:
    assert DESIGN.configuration == SMALL
