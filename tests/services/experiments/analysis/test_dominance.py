"""Who dominates runs of a few steps, by hand."""

import pytest

from services.experiments.analysis.dominance import composite, dominance, mean_lives
from tests.services.experiments.analysis.given_run import agents, run, steps


def test_the_most_numerous_at_the_end_dominates_by_population() -> None:
    found = dominance(run(steps([9, 1], [1, 5], [1, 2])))
    assert found is not None
    assert found.by_population == "independent"


def test_a_tie_falls_to_the_type_that_is_named_first() -> None:
    found = dominance(run(steps([1, 4], [1, 4])))
    assert found is not None
    assert found.by_population == "system"


def test_who_lives_longest_dominates_by_survival() -> None:
    held = run(
        steps([1] * 11),
        agents(("system", 0, 4), ("system", 2, None), ("control", 1, None)),
    )
    # system (4 + 8) / 2, control 9
    assert mean_lives(held) == {"system": 6, "control": 9}
    found = dominance(held)
    assert found is not None
    assert found.by_survival == "control"


def test_composite_dominance_is_the_weighted_sum_of_five_shares() -> None:
    # areas 20 and 20; weights 1, 1.25, 1.5, 1.75: recent 25 and 30;
    # the lead is system's once, twice a tie for the first named: 3 of 4 and 1 of 4;
    # growth: last over the mean of 2nd half: 2/3.5 and 8/6.5; final 2/10 and 8/10
    system, independent, control = composite(steps([8, 5, 5, 2], [2, 5, 5, 8]))
    assert (system.area, independent.area) == (0.5, 0.5)
    recent = 8 + 6.25 + 7.5 + 3.5
    assert system.recent_area == pytest.approx(recent / 55)
    assert (system.duration, independent.duration) == (0.75, 0.25)
    assert system.growth == 0
    assert independent.growth == pytest.approx(8 / 6.5 - 1)
    assert (system.final, independent.final) == (0.2, 0.8)
    expected = 0.1 + 0.3 * recent / 55 + 0.2 * 0.75 + 0.2 * 0.2
    assert system.composite == pytest.approx(expected)
    assert control.composite == 0


def test_switches_are_told_with_their_phase_and_what_follows() -> None:
    found = dominance(
        run(steps([3, 1, 1, 4, 1, 1], [1, 2, 2, 2, 2, 2], [0, 0, 0, 0, 5, 5]))
    )
    assert found is not None
    told = [(each.step, each.loser, each.winner, each.phase) for each in found.switches]
    assert told == [
        (1, "system", "independent", "early"),
        (3, "independent", "system", "middle"),
        (4, "system", "control", "late"),
    ]
    assert found.switches_per_step == 0.5
    assert found.mean_period == {"system": 1, "independent": 2, "control": 2}
    assert found.transitions == {
        "system": {"independent": 0.5, "control": 0.5},
        "independent": {"system": 1},
    }


def test_nobody_dominates_where_nobody_lives() -> None:
    found = dominance(run(steps([0, 0])))
    assert found is not None
    assert (found.by_population, found.composite, found.switches) == (None, None, [])
    assert found.mean_period == {}
    assert dominance(run(steps([]))) is None
