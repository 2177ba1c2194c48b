"""What one type has over another, part by part, by hand."""

import pytest

from services.experiments.analysis.advantage import (
    acquisition,
    advantages,
    combat,
    growth,
    position,
    reproduction,
    survival,
)
from tests.services.experiments.analysis.given_run import (
    actions,
    agents,
    reproductions,
    resources,
    run,
    states,
    steps,
)


TWO = agents(("system", 0, None), ("control", 0, None))
THREE_STEPS = steps([1, 1, 1], None, [1, 1, 1])


def test_acquisition_is_the_lead_in_mean_resources_over_three_phases() -> None:
    held = states((0, 0, 3), (0, 1, 1), (1, 0, 2), (1, 1, 2), (2, 0, 0), (2, 1, 5))
    # leads 1/2, 0, -1
    found = acquisition(run(THREE_STEPS, TWO, states=held), "system", "control")
    assert found == pytest.approx(0.3 * 0.5 - 0.4)


def test_reproduction_is_success_offspring_and_being_first() -> None:
    tried = reproductions((1, 0, ""), (2, 0, "too_little"), (2, 1, ""))
    # rates 1/2 and 1; one child each; the first was sooner
    held = run(THREE_STEPS, TWO, reproductions=tried)
    assert reproduction(held, "system", "control") == pytest.approx(-0.2 + 0 + 0.3)
    none = run(THREE_STEPS, TWO, reproductions=reproductions((0, 0, "crowded")))
    assert reproduction(none, "system", "control") == 0


def test_survival_is_the_lead_in_life_and_who_is_alive() -> None:
    who = agents(("system", 0, None), ("system", 0, 2), ("control", 0, 2))
    # restricted means 2 + 8/2 = 6 and 2; alive 1/2 and 0
    held = run(steps([1] * 11), who)
    expected = 0.5 * (6 - 2) / 8 + 0.5 * 0.5
    assert survival(held, "system", "control") == pytest.approx(expected)


def test_growth_is_the_lead_in_numbers_and_in_their_growth() -> None:
    held = run(steps([3, 2, 6], None, [1, 2, 2]), TWO)
    # leads 1/2, 0, 1/2; grown 2 and 2
    found = growth(held, "system", "control")
    assert found == pytest.approx(0.25 * 0.5 + 0.3 * 0.5)


def test_combat_is_attacking_withstanding_and_each_other() -> None:
    fought = actions(
        (0, 0, "attack", 0),
        (1, 0, "attack", 0),
        (1, 1, "attack", 0),
        (2, 1, "attack", 0),
        (2, 1, "attack", 0),
        targets=[1, 1, 0, 0, -1],
        succeeded=[True, True, True, False, False],
    )
    # success 1 and 1/2; withstood 1/2 and 0; against each other 1 and 1/2
    held = run(THREE_STEPS, TWO, actions=fought)
    expected = 0.3 * 0.5 + 0.3 * 0.5 + 0.4 * 0.5
    assert combat(held, "system", "control") == pytest.approx(expected)
    assert combat(held, "control", "system") == pytest.approx(-expected)


def test_types_that_never_fought_have_no_lead_in_combat() -> None:
    peaceful = actions((0, 0, "move", 0))
    assert combat(run(THREE_STEPS, TWO, actions=peaceful), "system", "control") == 0


def test_position_is_nearness_reach_and_what_lies_within() -> None:
    who = agents(("system", 0, None), ("control", 0, None), places=[(0, 0), (0, 50)])
    nodes = resources((0, 0, 6, 0, 10), (0, 1, 2, 0, 20), (1, 0, 1, 0, 10))
    # nearest 10 and 30; within 30: two (8) and one (2)
    held = run(THREE_STEPS, who, resources=nodes)
    expected = ((30 - 10) / 40 + 1 / 3 + 6 / 10) / 3
    assert position(held, "system", "control") == pytest.approx(expected)


def test_the_composite_weighs_only_what_was_recorded() -> None:
    held = run(steps([3, 2, 6], None, [1, 2, 2]), TWO)
    (found,) = advantages(held) or []
    assert (found.first, found.second) == ("system", "control")
    assert (found.acquisition, found.combat, found.position) == (None, None, None)
    assert found.survival == 0
    assert found.composite == pytest.approx(0.2 * found.growth / 0.4)


def test_all_six_parts_weigh_up_to_one() -> None:
    held = run(
        THREE_STEPS,
        agents(("system", 0, None), ("control", 0, None), places=[(0, 0), (0, 50)]),
        states=states((0, 0, 1)),
        actions=actions((0, 0, "attack", 0), targets=[1]),
        reproductions=reproductions((1, 0, "")),
        resources=resources((0, 0, 6, 0, 10)),
    )
    (found,) = advantages(held) or []
    parts = (
        0.25 * (found.acquisition or 0)
        + 0.25 * (found.reproduction or 0)
        + 0.2 * (found.survival or 0)
        + 0.2 * found.growth
        + 0.1 * (found.combat or 0)
        + 0.15 * (found.position or 0)
    )
    assert found.composite == pytest.approx(parts / 1.15)


def test_every_two_types_that_there_are_are_compared() -> None:
    who = agents(("control", 0, None), ("system", 0, None), ("independent", 0, None))
    found = advantages(run(steps([1], [1], [1]), who))
    assert [(each.first, each.second) for each in found or []] == [
        ("system", "independent"),
        ("system", "control"),
        ("independent", "control"),
    ]
    assert advantages(run(steps([]), who)) is None
