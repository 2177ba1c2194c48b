"""Every read table, in the groups that are projected together.

In a group, a table stands after the tables that its view reads.
"""

from collections.abc import Mapping
from typing import Final

from projections.access import (
    grants,
    organisations,
    service_tokens,
    sql_logins,
    users,
)
from projections.audit import audit_log, facts
from projections.experiments import (
    agent_actions,
    agent_deaths,
    agent_states,
    experiments,
    health_incidents,
    learning_experiences,
    outside_agent_actions,
    outside_agent_states,
    outside_agents,
    outside_health_incidents,
    outside_learning_experiences,
    outside_resource_states,
    outside_simulation_steps,
    reproduction_failures,
    resource_states,
    simulation_config,
    simulation_steps,
    simulations,
)
from projections.experiments import agents as population_agents
from projections.playgrounds import (
    access_list,
    evaluation_counters,
    evaluation_sessions,
    evaluations,
    model_configurations,
    open_responses,
    playground_metrics,
    playgrounds,
    question_metrics,
    questions,
)
from projections.playgrounds import (
    users as playground_users,
)
from projections.projection import Group, Groups, Table
from projections.testing import (
    agent_version_sets,
    agent_versions,
    agents,
    metric_versions,
    metrics,
    set_run_artifacts,
    set_run_history,
    simulation_persona_versions,
    simulation_personas,
    simulation_scenario_versions,
    simulation_scenarios,
    simulation_unit_test_set_runs,
    simulation_unit_test_sets,
    simulation_unit_tests,
    trial_entries,
    trials,
)


TESTING: Final = Group(
    name="testing",
    projections=(
        simulation_personas.PROJECTION,
        simulation_persona_versions.PROJECTION,
        simulation_scenarios.PROJECTION,
        simulation_scenario_versions.PROJECTION,
        metrics.PROJECTION,
        metric_versions.PROJECTION,
        agent_version_sets.PROJECTION,
        agents.PROJECTION,
        agent_versions.PROJECTION,
        simulation_unit_tests.PROJECTION,
        trial_entries.PROJECTION,
        trials.PROJECTION,
        set_run_history.PROJECTION,
        set_run_artifacts.PROJECTION,
        simulation_unit_test_set_runs.PROJECTION,
        simulation_unit_test_sets.PROJECTION,
    ),
)

PLAYGROUNDS: Final = Group(
    name="playgrounds",
    projections=(
        access_list.PROJECTION,
        playgrounds.PROJECTION,
        model_configurations.PROJECTION,
        evaluation_counters.PROJECTION,
        questions.PROJECTION,
        evaluation_sessions.PROJECTION,
        evaluations.PROJECTION,
        playground_metrics.PROJECTION,
        question_metrics.PROJECTION,
        open_responses.PROJECTION,
        playground_users.PROJECTION,
    ),
)

ACCESS: Final = Group(
    name="access",
    projections=(
        organisations.PROJECTION,
        users.PROJECTION,
        grants.PROJECTION,
        service_tokens.PROJECTION,
        sql_logins.PROJECTION,
    ),
)

EXPERIMENTS: Final = Group(
    name="experiments",
    projections=(
        experiments.PROJECTION,
        simulations.PROJECTION,
        simulation_config.PROJECTION,
        outside_simulation_steps.PROJECTION,
        outside_agents.PROJECTION,
        outside_agent_states.PROJECTION,
        outside_resource_states.PROJECTION,
        outside_agent_actions.PROJECTION,
        outside_learning_experiences.PROJECTION,
        outside_health_incidents.PROJECTION,
        simulation_steps.PROJECTION,
        agent_deaths.PROJECTION,
        population_agents.PROJECTION,
        agent_states.PROJECTION,
        resource_states.PROJECTION,
        agent_actions.PROJECTION,
        learning_experiences.PROJECTION,
        health_incidents.PROJECTION,
        reproduction_failures.PROJECTION,
    ),
)

AUDIT: Final = Group(name="audit", projections=(facts.PROJECTION, audit_log.PROJECTION))

GROUPS: Final[Groups] = {
    group.name: group for group in (ACCESS, TESTING, PLAYGROUNDS, EXPERIMENTS, AUDIT)
}

TABLES: Final[Mapping[str, Table]] = {
    projection.name: projection.table
    for group in GROUPS.values()
    for projection in group.projections
}
