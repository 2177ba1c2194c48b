"""What stands out in runs made to stand out."""

import pytest

from services.experiments.analysis.events import significant_events
from services.experiments.analysis.results import Occurrence
from tests.services.experiments.analysis.given_run import run, steps


def of_kind(found: list[Occurrence], kind: str) -> list[Occurrence]:
    return [each for each in found if each.kind == kind]


def test_a_type_that_dies_out_was_as_much_as_its_largest_share() -> None:
    found = significant_events(run(steps([6, 3, 0, 0], [2, 3, 4, 4])))
    (gone,) = of_kind(found, "extinction")
    assert (gone.step, gone.subject, gone.severity) == (2, "system", 0.75)
    assert (gone.before, gone.after) == (3, 0)


def test_the_end_of_all_is_as_severe_as_can_be() -> None:
    found = of_kind(significant_events(run(steps([5, 5, 0]))), "extinction")
    told = {each.subject: each.severity for each in found}
    assert told == {"system": 1, "all": 1}


def test_a_crash_is_told_once_at_its_worst() -> None:
    counts = [40] * 20 + [36, 30, 24, 20, 20, 20] + [20] * 20
    (crash,) = of_kind(significant_events(run(steps(counts))), "crash")
    assert (crash.step, crash.severity) == (23, 0.5)
    assert (crash.before, crash.after) == (40, 20)


def test_a_rise_by_a_quarter_is_a_boom_and_less_is_not() -> None:
    (boom,) = of_kind(significant_events(run(steps([40] * 12 + [50] * 12))), "boom")
    assert boom.step == 12
    assert boom.severity == pytest.approx(0.2)
    quiet = significant_events(run(steps([40] * 12 + [49] * 12)))
    assert of_kind(quiet, "boom") == []


def test_resources_are_depleted_below_a_tenth_of_the_most() -> None:
    held = steps([1] * 5, total_resources=[100, 60, 9, 4, 50])
    (found,) = of_kind(significant_events(run(held)), "depletion")
    assert found.step == 3
    assert found.severity == pytest.approx(0.96)
    assert (found.before, found.after) == (100, 4)


def test_a_takeover_is_as_severe_as_the_share_of_the_winner() -> None:
    (found,) = of_kind(significant_events(run(steps([5, 2], [3, 6]))), "takeover")
    assert (found.step, found.subject, found.severity) == (1, "independent", 0.75)


def test_far_more_fights_than_usual_stand_out() -> None:
    # per step 2 3 2 3 2 20 2 3: median 2.5, MAD 0.5: z = 0.6745 * 17.5 / 0.5
    encounters = [2, 5, 7, 10, 12, 32, 34, 37]
    held = steps([9] * 8, combat_encounters=encounters)
    (found,) = of_kind(significant_events(run(held)), "combat")
    assert (found.step, found.after) == (5, 20)
    assert found.severity == pytest.approx(1 - 2.5 / 20)


def test_the_founders_are_no_burst_of_births() -> None:
    held = steps([30] * 6, births=[30, 0, 0, 1, 0, 0], deaths=[0, 0, 0, 0, 9, 0])
    found = significant_events(run(held))
    assert of_kind(found, "births") == []
    assert [each.step for each in of_kind(found, "deaths")] == [4]


def test_only_what_is_severe_enough_is_told() -> None:
    held = run(steps([5, 2], [3, 6]))
    assert significant_events(held, least=0.8) == []
    assert significant_events(run(steps([]))) == []
