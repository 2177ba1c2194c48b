"""The metrics of a step, from the sums that the engine records.

Formulas, with A the living agents and R the resource nodes: averages are means over A;
resource_efficiency is what lies in R over nodes x 30, a fill level;
resource_distribution_entropy is -sum p ln p over R's shares; genetic_diversity is
distinct genomes over A, dominant_genome_ratio the most frequent one's agents over A.
resources_consumed is what agents gathered in the step; under `agentfarm-2025-07` it is
max(0, what lay in R before - what lies there now). Encounters, successes and what was
shared are totals since the start. Without agents every average is 0.
"""

from typing import TYPE_CHECKING, Final

from events.experiments.vocabulary import SCALE


if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.void]
    Column = npt.NDArray[np.float64] | npt.NDArray[np.int64]

FULL_NODE: Final = 30.0  # of the formula; the maximum of a configuration may differ


def step_metrics(steps: "Rows", *, nodes: int, ruleset: str) -> "dict[str, Column]":
    """Return the columns of `simulation_steps` but for the simulation's id."""
    living = steps["agents"].clip(min=1)
    compatible = ruleset == "agentfarm-2025-07"

    def mean(name: str, unit: int = SCALE) -> "npt.NDArray[np.float64]":
        averages: npt.NDArray[np.float64] = steps[name] / living / unit
        return averages

    return {
        "step_number": steps["step"],
        "total_agents": steps["agents"],
        "system_agents": steps["system"],
        "independent_agents": steps["independent"],
        "control_agents": steps["control"],
        "total_resources": steps["nodes_total"] / SCALE,
        "average_agent_resources": mean("agents_total"),
        "births": steps["births"],
        "deaths": steps["deaths"],
        "current_max_generation": steps["generation"],
        "resource_efficiency": steps["nodes_total"]
        / SCALE
        / (max(nodes, 1) * FULL_NODE),
        "resource_distribution_entropy": steps["entropy"],
        "average_agent_health": mean("health_total"),
        "average_agent_age": mean("age_total", 1),
        "average_reward": mean("reward_total"),
        "combat_encounters": steps["encounters"],
        "successful_attacks": steps["successes"],
        "resources_shared": steps["shared"] / SCALE,
        "genetic_diversity": steps["genomes"] / living,
        "dominant_genome_ratio": steps["dominant"] / living,
        "resources_consumed": steps["depleted" if compatible else "gathered"] / SCALE,
    }
