"""The rows that may be recorded of a simulation elsewhere: columns, names, limits.

A table is columns of equal length, named as the read tables name them. Keys have to be
there, other columns may be left out; null is what is not known.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from events.errors import Refused
from events.experiments.outside import Batch


MAX_ROWS: Final = 1_000  # of a table in a batch
INT32: Final = 2_147_483_647
INT64: Final = 9_223_372_036_854_775_807

T = TypeVar("T")
Column = Annotated[list[T], Meta(max_length=MAX_ROWS)]
Key = Annotated[list[T], Meta(min_length=1, max_length=MAX_ROWS)]

AgentName = Annotated[str, Meta(min_length=1, max_length=64)]
StateName = Annotated[str, Meta(min_length=1, max_length=128)]
Word = Annotated[str, Meta(max_length=50)]
Details = Annotated[str, Meta(max_length=4_096)]
Step = Annotated[int, Meta(ge=0, le=INT32)]
Count = Annotated[int, Meta(ge=-INT32, le=INT32)]
Choice = Annotated[int, Meta(ge=-32_768, le=32_767)]
Age = Annotated[float, Meta(ge=-INT32, le=INT32)]
RowId = Annotated[int, Meta(ge=0, le=INT64)]

Whole = Column[Count | None]
Real = Column[float | None]
Text = Column[Word | None]


class LengthsDiffer(Refused):
    """The columns of a table have to have the same length."""


class Columns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of a table, column by column."""


class SimulationSteps(Columns, frozen=True, kw_only=True):
    """Metrics of steps; a step that comes again takes the place of the earlier."""

    step_number: Key[Step]
    total_agents: Whole = []
    system_agents: Whole = []
    independent_agents: Whole = []
    control_agents: Whole = []
    total_resources: Real = []
    average_agent_resources: Real = []
    births: Whole = []
    deaths: Whole = []
    current_max_generation: Whole = []
    resource_efficiency: Real = []
    resource_distribution_entropy: Real = []
    average_agent_health: Real = []
    average_agent_age: Column[Age | None] = []
    average_reward: Real = []
    combat_encounters: Whole = []
    successful_attacks: Whole = []
    resources_shared: Real = []
    genetic_diversity: Real = []
    dominant_genome_ratio: Real = []
    resources_consumed: Real = []


class Agents(Columns, frozen=True, kw_only=True):
    """Agents as they came to be; one that comes again takes the earlier's place."""

    agent_id: Key[AgentName]
    birth_time: Key[Step]
    death_time: Column[Step | None] = []
    agent_type: Text = []
    position_x: Real = []
    position_y: Real = []
    initial_resources: Real = []
    starting_health: Real = []
    starvation_threshold: Whole = []
    genome_id: Column[AgentName | None] = []
    generation: Whole = []


class AgentDeaths(Columns, frozen=True, kw_only=True):
    """Deaths of agents that were recorded before, or are in the same batch."""

    agent_id: Key[AgentName]
    death_time: Key[Step]
    cause: Text = []


class AgentStates(Columns, frozen=True, kw_only=True):
    """States of agents; one of the same agent and step takes the earlier's place."""

    step_number: Key[Step]
    agent_id: Key[AgentName]
    position_x: Real = []
    position_y: Real = []
    position_z: Real = []
    resource_level: Real = []
    current_health: Real = []
    is_defending: Column[bool | None] = []
    total_reward: Real = []
    age: Whole = []


class ResourceStates(Columns, frozen=True, kw_only=True):
    """States of resources; one of the same resource and step takes the earlier's place.

    Without an `id` their place in the recording is one.
    """

    step_number: Key[Step]
    resource_id: Key[Count]
    id: Column[RowId | None] = []
    amount: Real = []
    position_x: Real = []
    position_y: Real = []


class AgentActions(Columns, frozen=True, kw_only=True):
    """Actions of agents; `details` may be JSON or any text."""

    step_number: Key[Step]
    agent_id: Key[AgentName]
    action_type: Key[Annotated[str, Meta(min_length=1, max_length=50)]]
    action_id: Column[RowId | None] = []
    action_target_id: Column[AgentName | None] = []
    state_before_id: Column[StateName | None] = []
    state_after_id: Column[StateName | None] = []
    resources_before: Real = []
    resources_after: Real = []
    reward: Real = []
    details: Column[Details | None] = []


class LearningExperiences(Columns, frozen=True, kw_only=True):
    """Decisions of learning modules, and what they brought."""

    step_number: Key[Step]
    agent_id: Key[AgentName]
    module_type: Key[Annotated[str, Meta(min_length=1, max_length=50)]]
    experience_id: Column[RowId | None] = []
    module_id: Column[AgentName | None] = []
    action_taken: Column[Choice | None] = []
    action_taken_mapped: Text = []
    reward: Real = []


class HealthIncidents(Columns, frozen=True, kw_only=True):
    """Changes of agents' health."""

    step_number: Key[Step]
    agent_id: Key[AgentName]
    incident_id: Column[RowId | None] = []
    health_before: Real = []
    health_after: Real = []
    cause: Text = []
    details: Column[Details | None] = []


class OutsideRows(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Rows of one simulation, at most 1,000 of each table."""

    simulation_steps: SimulationSteps | None = None
    agents: Agents | None = None
    agent_deaths: AgentDeaths | None = None
    agent_states: AgentStates | None = None
    resource_states: ResourceStates | None = None
    agent_actions: AgentActions | None = None
    learning_experiences: LearningExperiences | None = None
    health_incidents: HealthIncidents | None = None


def given(rows: OutsideRows) -> dict[str, dict[str, list[Any]]]:
    """Return the tables and columns that are there, or raise `LengthsDiffer`."""
    return {name: _columns(name, table) for name, table in _tables(rows)}


def length(table: dict[str, list[Any]]) -> int:
    """Return how many rows a table has."""
    return len(table["agent_id" if "step_number" not in table else "step_number"])


def last_step(batch: Batch) -> int:
    """Return the greatest step of a batch, -1 for none."""
    numbers = [
        number
        for table in batch.values()
        for column in ("step_number", "birth_time", "death_time")
        for number in table.get(column, ())
        if number is not None
    ]
    return max(numbers, default=-1)


def latest(batch: Batch) -> dict[str, float]:
    """Return the metrics of the last step that has any."""
    steps = batch.get("simulation_steps")
    if steps is None:
        return {}
    numbers = steps["step_number"]
    place = max(range(len(numbers)), key=lambda at: (numbers[at], at))
    return {
        name: float(column[place])
        for name, column in steps.items()
        if column[place] is not None
    }


def _tables(rows: OutsideRows) -> Iterator[tuple[str, Columns]]:
    for name in rows.__struct_fields__:
        table = getattr(rows, name)
        if table is not None:
            yield name, table


def _columns(name: str, table: Columns) -> dict[str, list[Any]]:
    columns = {
        column: values
        for column in table.__struct_fields__
        if (values := getattr(table, column))
    }
    expected = length(columns)
    for column, values in columns.items():
        if len(values) != expected:
            message = (
                f"It has {len(values)} values, and others of its table {expected}."
            )
            raise LengthsDiffer(message, path=f"$.rows.{name}.{column}")
    return columns
