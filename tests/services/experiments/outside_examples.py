"""A simulation that runs elsewhere, as tests record it."""

from uuid import UUID

from events.ids import ExperimentId, SimulationId
from events.message import Event
from services.experiments.experiments import DescribeOutsideExperiment
from services.experiments.outside import (
    EndOutsideSimulation,
    OpenOutsideSimulation,
    RecordOutsideRows,
)
from services.experiments.outside_rows import (
    AgentActions,
    AgentDeaths,
    Agents,
    AgentStates,
    HealthIncidents,
    LearningExperiences,
    OutsideRows,
    ResourceStates,
    SimulationSteps,
)
from tests.given import given


ELSEWHERE = SimulationId(UUID("01932c5e-7b00-7104-8000-000000000004"))
GROUP = ExperimentId(UUID("01932c5e-7b00-7105-8000-000000000005"))
DESCRIBE = DescribeOutsideExperiment(
    experiment_id=GROUP,
    external_id="dry",
    name="Dry summers",
    hypothesis="Those who share outlive the others.",
    variables={"rain": [0.1, 0.4]},
)
OPEN = OpenOutsideSimulation(
    simulation_id=ELSEWHERE,
    name="sim_001",
    model="meadow 2.1",
    experiment=DESCRIBE,
    parameters={"rain": 0.1},
    configuration={"width": 100},
)
FIRST = RecordOutsideRows(
    simulation_id=ELSEWHERE,
    batch=1,
    rows=OutsideRows(
        agents=Agents(
            agent_id=["ant", "bee"], birth_time=[0, 0], agent_type=["control", None]
        ),
        simulation_steps=SimulationSteps(
            step_number=[0, 1], total_agents=[2, 1], average_reward=[None, 0.5]
        ),
    ),
)
SECOND = RecordOutsideRows(
    simulation_id=ELSEWHERE,
    batch=2,
    rows=OutsideRows(
        agents=Agents(agent_id=["cat"], birth_time=[3]),
        agent_deaths=AgentDeaths(agent_id=["ant"], death_time=[4], cause=["heat"]),
        agent_states=AgentStates(
            step_number=[1], agent_id=["bee"], position_x=[0.1], is_defending=[True]
        ),
    ),
)
END = EndOutsideSimulation(
    simulation_id=ELSEWHERE, results_summary={"final_population": 1}
)
THIRD = RecordOutsideRows(
    simulation_id=ELSEWHERE,
    batch=3,
    rows=OutsideRows(
        simulation_steps=SimulationSteps(
            step_number=[1, 2, 2],
            total_agents=[1, 9, 2],
            average_agent_age=[None, 1.0, 1.5],
        ),
        agents=Agents(agent_id=["dog", "bee"], birth_time=[2, 0], generation=[1, 0]),
        agent_states=AgentStates(
            step_number=[1, 2], agent_id=["bee", "bee"], total_reward=[0.3, 1e300]
        ),
        resource_states=ResourceStates(
            step_number=[1, 1, 1],
            resource_id=[7, 8, 7],
            id=[70, None, 71],
            amount=[1.5, 2.5, 3.5],
        ),
        agent_actions=AgentActions(
            step_number=[1, 2],
            agent_id=["bee", "bee"],
            action_type=["dance", "fly"],
            action_id=[501, None],
            action_target_id=["ant", None],
            state_before_id=["bee-0", None],
            state_after_id=["bee-1", None],
            details=['{"turns": 3}', None],
            reward=[0.1, None],
        ),
        learning_experiences=LearningExperiences(
            step_number=[1],
            agent_id=["bee"],
            module_type=["dancing"],
            module_id=["bee-dancing"],
            action_taken=[2],
            action_taken_mapped=["waggle"],
            reward=[0.25],
        ),
        health_incidents=HealthIncidents(
            step_number=[2],
            agent_id=["bee"],
            health_before=[1.0],
            health_after=[0.75],
            cause=["rain"],
        ),
    ),
)
STORY = (OPEN, FIRST, SECOND, THIRD, END)


def happened() -> list[Event]:
    """Return the facts that the story comes to."""
    events: list[Event] = []
    for done, command in enumerate(STORY):
        events += given(*STORY[:done]).when(command).events
    return events
