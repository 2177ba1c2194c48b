"""A run as columns, named as the read tables name them.

What was not recorded is None, and what rests on it is not answered: a table that a
capture policy left out, a column that a model elsewhere does not have. Text comes
coded, so that millions of rows are counted as integers. Agents are numbered; -1 stands
for no agent, for a death that did not happen, and for a type, generation or choice that
is not known; an amount that is not known is NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt


Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NONE: Final = -1
FULL_HEALTH: Final = 100.0
TYPES: Final = ("system", "independent", "control")


@dataclass(frozen=True)
class Coded:
    """A column of text: a number for each row, and the text of each number."""

    codes: Ints
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Sequence[str]) -> "Coded":
        """Return text as codes, names in order of appearance."""
        names = tuple(dict.fromkeys(values))
        place = {name: at for at, name in enumerate(names)}
        return cls(np.array([place[value] for value in values], dtype=np.int64), names)

    def rows(self, name: str) -> Flags:
        """Say for each row whether it is this text."""
        if name not in self.names:
            return np.zeros(len(self.codes), dtype=bool)
        return np.equal(self.codes, self.names.index(name))


@dataclass(frozen=True, kw_only=True)
class Steps:
    """`simulation_steps`, in order of steps.

    `others` counts agents of types that have no column. Encounters, successes and what
    was shared are totals since the start.
    """

    step_number: Ints
    total_agents: Ints | None
    system_agents: Ints | None
    independent_agents: Ints | None
    control_agents: Ints | None
    total_resources: Floats | None
    average_agent_resources: Floats | None
    births: Ints | None
    deaths: Ints | None
    current_max_generation: Ints | None
    resource_efficiency: Floats | None
    resource_distribution_entropy: Floats | None
    average_agent_health: Floats | None
    average_agent_age: Floats | None
    average_reward: Floats | None
    combat_encounters: Ints | None
    successful_attacks: Ints | None
    resources_shared: Floats | None
    genetic_diversity: Floats | None
    dominant_genome_ratio: Floats | None
    resources_consumed: Floats | None
    others: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def types(self) -> tuple[str, ...]:
        """Return the types whose agents are counted at each step, none of some."""
        if self.others:
            return tuple(self.others)
        columns = self.system_agents, self.independent_agents, self.control_agents
        return () if any(each is None for each in columns) else TYPES

    @property
    def every(self) -> bool:
        """Say whether no step is left out between the first and the last."""
        return bool((np.diff(self.step_number) == 1).all())

    def of_type(self, name: str) -> Ints:
        """Return how many agents of a type there are at each step."""
        columns = {
            "system": self.system_agents,
            "independent": self.independent_agents,
            "control": self.control_agents,
            **self.others,
        }
        found = columns.get(name)
        return np.zeros(len(self.step_number), np.int64) if found is None else found


@dataclass(frozen=True, kw_only=True)
class Agents:
    """`agents`, in order of their numbers, each once.

    `mortal` says that deaths are recorded, so that who has none lives.
    """

    agent_id: Ints
    birth_time: Ints
    death_time: Ints
    agent_type: Coded
    position_x: Floats
    position_y: Floats
    initial_resources: Floats
    generation: Ints
    mortal: bool = True

    def rows_of(self, agent_id: Ints) -> Ints:
        """Return the row of each agent, -1 where there is none."""
        n = len(self.agent_id)
        if not n:
            return np.full(len(agent_id), NONE, dtype=np.int64)
        if self.agent_id[0] == 0 and self.agent_id[-1] == n - 1:
            return np.where((agent_id >= 0) & (agent_id < n), agent_id, NONE)
        place = np.searchsorted(self.agent_id, agent_id)
        place = np.minimum(place, n - 1)
        found = self.agent_id[place] == agent_id
        return np.where(found, place, NONE).astype(np.int64)

    def types_of(self, agent_id: Ints) -> Ints:
        """Return the code of each agent's type, -1 where there is no such agent."""
        codes = np.append(self.agent_type.codes, NONE)
        return codes[self.rows_of(agent_id)]


@dataclass(frozen=True, kw_only=True)
class States:
    """`agent_states`."""

    step_number: Ints
    agent_id: Ints
    resource_level: Floats
    current_health: Floats
    total_reward: Floats
    position_x: Floats
    position_y: Floats


@dataclass(frozen=True, kw_only=True)
class Resources:
    """`resource_states`."""

    step_number: Ints
    resource_id: Ints
    amount: Floats
    position_x: Floats
    position_y: Floats


@dataclass(frozen=True, kw_only=True)
class Actions:
    """`agent_actions`; `succeeded` is what their details say, where they do (`told`).

    Without targets it is not recorded at whom actions are.
    """

    step_number: Ints
    agent_id: Ints
    action_type: Coded
    action_target_id: Ints | None
    resources_before: Floats
    resources_after: Floats
    reward: Floats
    succeeded: Flags
    told: Flags


@dataclass(frozen=True, kw_only=True)
class Experiences:
    """`learning_experiences`."""

    step_number: Ints
    agent_id: Ints
    module_type: Coded
    action_taken: Ints
    reward: Floats


@dataclass(frozen=True, kw_only=True)
class Incidents:
    """`health_incidents`."""

    step_number: Ints
    agent_id: Ints
    health_before: Floats
    health_after: Floats
    cause: Coded


@dataclass(frozen=True, kw_only=True)
class Reproductions:
    """Attempts to reproduce; the reason of one that succeeded is empty."""

    step_number: Ints
    agent_id: Ints
    succeeded: Flags
    failure_reason: Coded


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was recorded of one simulation.

    `complete` says that tables which are there hold every agent at every step, `until`
    which step is the last, where that is not the last of `steps`. `full_health` is what
    an unhurt agent has, None where agents differ in that, or nobody says.
    """

    steps: Steps
    agents: Agents
    states: States | None = None
    resources: Resources | None = None
    actions: Actions | None = None
    experiences: Experiences | None = None
    incidents: Incidents | None = None
    reproductions: Reproductions | None = None
    complete: bool = True
    until: int | None = None
    full_health: float | None = FULL_HEALTH

    @property
    def last_step(self) -> int:
        """Return the last step, -1 of a run without any."""
        if self.until is not None:
            return self.until
        steps = self.steps.step_number
        return int(steps[-1]) if len(steps) else NONE
