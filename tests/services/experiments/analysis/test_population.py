"""Populations and resources of a few steps, worked out by hand."""

from math import log, pi, sin

import numpy as np
import pytest

from services.experiments.analysis.population import (
    hotspots,
    population,
    resource_use,
    rhythm,
)
from tests.services.experiments.analysis.given_run import (
    actions,
    resources,
    run,
    steps,
    sure,
)


def test_sizes_are_told_over_all_and_by_type() -> None:
    found = population(run(steps([10, 20, 15], [10, 0, 0], [0, 5, 5])))
    assert found is not None
    total = found.total
    assert (total.initial, total.final, total.peak, total.peak_step) == (20, 20, 25, 1)
    assert total.spread.mean == pytest.approx(65 / 3)
    # squares (5/3)^2 (10/3)^2 (5/3)^2 over 2
    assert total.spread.variance == pytest.approx(25 / 3)
    assert total.agent_steps == 65
    assert total.stability == 20 / 25
    # last step 2 times peak 25 over initial 20
    assert total.momentum == 2.5
    system, independent, control = found.types
    assert system.mean_share == pytest.approx((0.5 + 0.8 + 0.75) / 3)
    assert system.trend == pytest.approx(2.5)
    assert (independent.extinct_step, independent.stability) == (1, 0)
    assert (control.extinct_step, control.momentum) == (None, None)


def test_a_population_that_recovers_is_not_extinct() -> None:
    found = population(run(steps([3, 0, 2])))
    assert found is not None
    assert found.total.extinct_step is None
    gone = population(run(steps([3, 0, 2, 0, 0], first=10)))
    assert gone is not None
    assert gone.total.extinct_step == 13


def test_rates_are_per_agent_step() -> None:
    columns = steps(
        [10, 10],
        births=[10, 2],
        deaths=[0, 1],
        combat_encounters=[3, 8],
        successful_attacks=[1, 2],
        resources_shared=[0, 4],
    )
    done = actions((0, 0, "move", 0), (0, 1, "move", 0), (1, 0, "move", 0))
    found = population(run(columns, actions=done))
    assert found is not None
    assert (found.births, found.deaths) == (2, 1)
    assert found.reproduction_rate == 2 / 20
    assert found.conflict_rate == 8 / 20
    assert found.cooperation_rate == 4 / 20
    assert found.conflict_to_cooperation == 2
    assert found.attack_success == 2 / 8
    assert found.interaction_rate == 3 / 20


def test_type_entropy_is_one_where_types_are_equal() -> None:
    equal = population(run(steps([5], [5], [5])))
    assert equal is not None
    assert equal.type_entropy == pytest.approx(1)
    # two equal types of three: ln 2 / ln 3; and one alone: 0; the mean of both
    mixed = population(run(steps([5, 4], [5, 0], [0, 0])))
    assert mixed is not None
    assert mixed.type_entropy == pytest.approx(log(2) / log(3) / 2)


def test_health_and_diversity_are_means_over_steps() -> None:
    found = population(
        run(
            steps(
                [1, 1],
                average_agent_health=[80, 100],
                genetic_diversity=[0.5, 1],
                current_max_generation=[3, 2],
            )
        )
    )
    assert found is not None
    assert found.health_maintenance == 0.9
    assert sure(found.genetic_diversity).mean == 0.75
    assert found.max_generation == 3


def test_a_rhythm_has_the_period_that_made_it() -> None:
    number = np.arange(80)
    counts = np.array([round(100 + at + 20 * sin(2 * pi * at / 16)) for at in number])
    found = rhythm(number, counts)
    assert found.period == 16
    assert found.strength is not None
    assert found.strength > 0.9
    assert found.peaks == pytest.approx([4, 20, 36, 52, 68], abs=1)
    assert len(found.troughs) == 5


def test_what_does_not_swing_has_no_period() -> None:
    assert rhythm(np.arange(20), np.arange(20) * 3).period is None
    assert rhythm(np.arange(3), np.array([1, 5, 1])).period is None


def test_consumption_is_told_as_total_peak_and_use() -> None:
    found = resource_use(
        run(
            steps(
                [2, 2, 4],
                total_resources=[100, 80, 60],
                resources_consumed=[0, 6, 18],
                resource_efficiency=[0.5, 0.4, 0.3],
            )
        )
    )
    assert found is not None
    assert (found.consumed_total, sure(found.consumed).mean) == (24, 8)
    assert (sure(found.consumed).most, found.peak_consumption_step) == (18, 2)
    # squares 64 4 100 over 2
    assert sure(found.consumed).variance == 84
    assert found.utilisation == 24 / 240
    assert found.consumed_per_agent_step == 3
    assert sure(found.efficiency).mean == pytest.approx(0.4)
    assert sure(found.total).mean == 80


def test_hotspots_are_the_nodes_that_held_most() -> None:
    nodes = resources(
        (0, 7, 4, 1, 2),
        (0, 8, 10, 3, 4),
        (1, 7, 0, 1, 2),
        (1, 8, 2, 3, 4),
    )
    rich, poor = hotspots(nodes)
    assert (rich.resource_id, rich.mean_amount, rich.times_mean) == (8, 6, 1.5)
    assert (rich.position_x, rich.position_y) == (3, 4)
    assert (poor.resource_id, poor.mean_amount) == (7, 2)


def test_a_run_without_steps_has_no_population() -> None:
    assert population(run(steps([]))) is None
    assert resource_use(run(steps([]))) is None
