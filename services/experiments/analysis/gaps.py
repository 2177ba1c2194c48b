"""What is not answered of a run, and what it takes that was not recorded.

Questions are named by their place in an `Analysis`, and what they take by the tables
and columns that people know.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from services.experiments.analysis.columns import (
    NONE,
    Actions,
    Agents,
    Experiences,
    Incidents,
    Resources,
    Run,
    Steps,
)
from services.experiments.analysis.results import Gap


OF_METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "population.births": ("births", "of every step"),
    "population.deaths": ("deaths", "of every step"),
    "population.reproduction_rate": ("births", "of every step"),
    "population.conflict_rate": ("combat_encounters", "as a total since the start"),
    "population.cooperation_rate": ("resources_shared", "as a total since the start"),
    "population.attack_success": ("successful_attacks", "as a total since the start"),
    "population.max_generation": ("current_max_generation", "of each step"),
    "population.genetic_diversity": ("genetic_diversity", ""),
    "population.dominant_genome": ("dominant_genome_ratio", ""),
    "population.health_maintenance": ("average_agent_health", ""),
    "population.age": ("average_agent_age", ""),
    "population.reward": ("average_reward", ""),
    "resources.total": ("total_resources", "of each step"),
    "resources.per_agent": ("average_agent_resources", ""),
    "resources.consumed": ("resources_consumed", "of every step"),
    "resources.efficiency": ("resource_efficiency", ""),
    "resources.entropy": ("resource_distribution_entropy", ""),
    "events.extinction": ("total_agents", "of each step"),
    "events.crash": ("total_agents", "of each step"),
    "events.boom": ("total_agents", "of each step"),
    "events.depletion": ("total_resources", "of each step"),
    "events.combat": ("combat_encounters", "as a total since the start"),
    "events.births": ("births", "of every step"),
    "events.deaths": ("deaths", "of every step"),
}
BY_TYPE: Final = (
    "the agents of each type at every step: simulation_steps.system_agents,"
    " independent_agents and control_agents, or agents whose types, births and deaths"
    " add up to total_agents"
)
ATTEMPTS: Final = (
    "agent_actions of the type reproduce whose details say what became of them, those"
    " that failed among them, and as many that succeeded as agents were born"
)
DEATHS: Final = "agents.death_time, or agent_deaths"
OUTCOMES: Final = "agent_actions.details with outcome or success"
EVERY_STEP: Final = "simulation_steps of every step"

Pairs = Iterator[tuple[str, str]]


def gaps(run: Run) -> list[Gap]:
    """Return what is not answered, question by question."""
    found = {
        **dict(_of_steps(run)),
        **dict(_of_agents(run.agents)),
        **dict(_of_advantages(run)),
        **dict(_of_actions(run.actions)),
        **dict(_of_rows(run)),
    }
    return [
        Gap(question=question, takes=takes)
        for question, takes in sorted(found.items())
        if question.partition(".")[0] == question
        or question.partition(".")[0] not in found
    ]


def _of_steps(run: Run) -> Pairs:
    steps = run.steps
    if not len(steps.step_number):
        for question in ("population", "resources", "dominance", "advantages"):
            yield question, "simulation_steps"
        yield "events", EVERY_STEP
        return
    if steps.total_agents is None:
        yield "population", "simulation_steps.total_agents of each step"
    if not steps.every:
        yield "events", EVERY_STEP
        yield "dominance", EVERY_STEP
        yield "population.rhythm", EVERY_STEP
    if not steps.types:
        yield "population.types", BY_TYPE
        yield "dominance", BY_TYPE
        yield "advantages", BY_TYPE
        yield "events.takeover", BY_TYPE
    for question, (metric, how) in OF_METRICS.items():
        if getattr(steps, metric) is None:
            yield question, f"simulation_steps.{metric} {how}".rstrip()
    if run.full_health is None:
        yield "population.health_maintenance", "one agents.starting_health for all"
    if run.actions is None or not run.complete:
        yield "population.interaction_rate", "agent_actions of every agent and step"


def _of_agents(agents: Agents) -> Pairs:
    if not len(agents.agent_id):
        yield "survival", "agents"
    elif not agents.mortal:
        yield "survival", DEATHS
    if (agents.agent_type.codes == NONE).any():
        yield "survival.by_type", "agents.agent_type"
    if (agents.generation == NONE).any():
        yield "survival.by_generation", "agents.generation"


def _of_advantages(run: Run) -> Pairs:
    states, actions = run.states, run.actions
    if states is None or np.isnan(states.resource_level).all():
        yield "advantages.acquisition", "agent_states.resource_level"
    if run.reproductions is None:
        yield "advantages.reproduction", ATTEMPTS
    if not run.agents.mortal:
        yield "advantages.survival", DEATHS
    if actions is None or actions.action_target_id is None or not actions.told.any():
        yield "advantages.combat", f"agent_actions.action_target_id and {OUTCOMES}"
    if not _placed(run.resources) or np.isnan(run.agents.position_x).any():
        yield "advantages.position", "where agents and resources were at first"


def _of_actions(actions: Actions | None) -> Pairs:
    if actions is None or not len(actions.agent_id):
        yield "behaviour", "agent_actions"
        return
    if not actions.told.all():
        yield "behaviour.actions.success", OUTCOMES
    if actions.action_target_id is None:
        yield "behaviour.interactive", "agent_actions.action_target_id"
    if np.isnan(actions.reward).any():
        yield "behaviour.actions.reward", "agent_actions.reward"
    if np.isnan(actions.resources_after - actions.resources_before).any():
        takes = "agent_actions.resources_before and resources_after"
        yield "behaviour.actions.resources_change", takes


def _of_rows(run: Run) -> Pairs:
    if run.reproductions is None:
        yield "reproduction", ATTEMPTS
    yield from _of_lessons(run.experiences)
    yield from _of_health(run.incidents, run.steps)
    if run.resources is None or np.isnan(run.resources.amount).all():
        yield "resources.hotspots", "resource_states.amount"


def _of_lessons(experiences: Experiences | None) -> Pairs:
    if experiences is None:
        yield "learning", "learning_experiences"
    elif np.isnan(experiences.reward).any():
        yield "learning.reward", "learning_experiences.reward"
    elif (experiences.action_taken == NONE).any():
        yield "learning.exploration", "learning_experiences.action_taken"


def _of_health(incidents: Incidents | None, steps: Steps) -> Pairs:
    if incidents is None:
        yield "health", "health_incidents"
        return
    if (incidents.cause.codes == NONE).any():
        yield "health.causes", "health_incidents.cause"
    if np.isnan(incidents.health_after - incidents.health_before).any():
        takes = "health_incidents.health_before and health_after"
        yield "health.causes.change", takes
    if steps.total_agents is None or not steps.every:
        takes = "simulation_steps.total_agents of every step"
        yield "health.per_agent_step", takes


def _placed(resources: Resources | None) -> bool:
    return resources is not None and not np.isnan(resources.position_x).any()
