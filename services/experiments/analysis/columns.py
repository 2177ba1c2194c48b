"""A run as columns, named as the read tables name them.

What a capture policy did not record is None in a `Run`, and what rests on it is not
answered. Text comes coded, so that millions of rows are counted as integers. Agents
are numbered; -1 stands for no agent and for a death that did not happen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt


Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NONE: Final = -1
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
    """`simulation_steps`, in order of steps."""

    step_number: Ints
    total_agents: Ints
    system_agents: Ints
    independent_agents: Ints
    control_agents: Ints
    total_resources: Floats
    average_agent_resources: Floats
    births: Ints
    deaths: Ints
    current_max_generation: Ints
    resource_efficiency: Floats
    resource_distribution_entropy: Floats
    average_agent_health: Floats
    average_agent_age: Floats
    average_reward: Floats
    combat_encounters: Ints
    successful_attacks: Ints
    resources_shared: Floats
    genetic_diversity: Floats
    dominant_genome_ratio: Floats
    resources_consumed: Floats

    def of_type(self, name: str) -> Ints:
        """Return how many agents of a type there are at each step."""
        match name:
            case "system":
                return self.system_agents
            case "independent":
                return self.independent_agents
            case "control":
                return self.control_agents
            case _:
                return np.zeros(len(self.step_number), dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Agents:
    """`agents`, in order of their numbers, each once."""

    agent_id: Ints
    birth_time: Ints
    death_time: Ints
    agent_type: Coded
    position_x: Floats
    position_y: Floats
    initial_resources: Floats
    generation: Ints

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
    """`agent_actions`; `succeeded` is what their details say."""

    step_number: Ints
    agent_id: Ints
    action_type: Coded
    action_target_id: Ints
    resources_before: Floats
    resources_after: Floats
    reward: Floats
    succeeded: Flags


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

    `complete` says that tables which are there hold every agent at every step.
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

    @property
    def last_step(self) -> int:
        """Return the last step, -1 of a run without any."""
        steps = self.steps.step_number
        return int(steps[-1]) if len(steps) else NONE
