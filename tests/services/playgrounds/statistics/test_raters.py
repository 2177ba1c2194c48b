"""Agreement between testers, and what makes one look twice at a tester."""

import pytest

from services.playgrounds.statistics.raters import agreement, diligence
from services.playgrounds.statistics.records import Session
from tests.services.playgrounds.statistics.given_evaluations import (
    GOOD,
    OPTIONS,
    WHICH,
    models,
    playground,
    session,
)


def rated(**scores: dict[str, int]) -> list[Session]:
    return [
        session(tester, model, good=score)
        for tester, given in scores.items()
        for model, score in given.items()
    ]


def test_testers_who_agree_have_an_alpha_of_one() -> None:
    sessions = rated(ada={"a": 5, "b": 2}, ben={"a": 5, "b": 2}, cem={"a": 5})
    found = agreement(playground(sessions, questions=(GOOD,)), OPTIONS)
    assert [each.level for each in found] == ["ordinal", "interval"]
    assert [each.alpha for each in found] == [1, 1]
    assert (found[0].units, found[0].raters, found[0].n) == (2, 3, 5)
    assert found[0].gloss == "almost perfect"
    assert found[0].fleiss is None


def test_two_testers_have_cohens_kappa_too() -> None:
    sessions = [
        session(tester, model, which=said)
        for model, one, two in [
            ("a", "yes", "yes"),
            ("b", "yes", "no"),
            ("c", "no", "no"),
            ("d", "no", "no"),
        ]
        for tester, said in (("ada", one), ("ben", two))
    ]
    data = playground(sessions, of=models("a", "b", "c", "d"), questions=(WHICH,))
    (found,) = agreement(data, OPTIONS)
    # 3/4 observed; expected 2/4 * 1/4 + 2/4 * 3/4 = 1/2
    assert found.cohen == pytest.approx(0.5)
    assert found.interval is None
    # coincidences 2 disagreements of 8; expected 2 * 3 * 5 / (8 * 7)
    assert found.alpha == pytest.approx(1 - (2 / 8) / (30 / 56))
    assert found.fleiss is not None


def test_agreement_is_refused_rather_than_made_up() -> None:
    alone = playground(rated(ada={"a": 5}, ben={"b": 2}), questions=(GOOD,))
    refusals = {each.refusal for each in agreement(alone, OPTIONS)}
    assert refusals == {"Fewer than two testers answered for the same model."}
    same = playground(rated(ada={"a": 5}, ben={"a": 5}), questions=(GOOD,))
    found = agreement(same, OPTIONS)[0]
    assert found.alpha is None
    assert found.refusal is not None
    assert "All answers are the same" in found.refusal


def test_fast_straight_and_inconsistent_testers_are_shown() -> None:
    slow = [
        session(who, model, seconds=90, good=score)
        for who, model, score in [("ada", "a", 4), ("ada", "b", 2), ("ben", "a", 3)]
    ]
    hasty = [
        session("cem", model, number=number, seconds=5, good=3)
        for model, number in [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    ]
    wavering = [
        session("dan", "b", number=number, seconds=80, which=said)
        for number, said in enumerate(["yes", "yes", "no"])
    ]
    data = playground([*slow, *slow[:1], *hasty, *wavering])
    found = {each.tester: each for each in diligence(data)}
    assert (found["cem"].fast_sessions, found["cem"].straight_lined) == (4, True)
    assert found["cem"].self_consistency == 1
    assert (found["dan"].repeated_answers, found["dan"].self_consistency) == (2, 0.5)
    assert (found["dan"].fast_sessions, found["dan"].straight_lined) == (0, False)
    assert set(found) == {"cem", "dan"}
