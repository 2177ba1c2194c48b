"""Who was shown what: small playgrounds counted by hand."""

import pytest
from msgspec.structs import replace

from services.playgrounds.statistics.exposure import (
    attrition,
    differential,
    exposure,
    filled,
    nonresponse,
    sample_ratio,
)
from services.playgrounds.statistics.records import Model
from tests.services.playgrounds.statistics.given_evaluations import (
    GOOD,
    OPTIONS,
    WHY,
    models,
    playground,
    session,
)


def test_a_tester_counts_for_a_model_once_it_was_shown_to_them() -> None:
    found = exposure(
        playground(
            [
                session("ada", "a"),
                session("ada", "b"),
                session("ben", "a", number=1),
                session("ben", "a", number=2),
                session("cem", "b", shown=False, status="expired"),
                session("dan", "b", status="excluded"),
            ]
        )
    )
    assert found.testers == {"a": 2, "b": 2}
    assert found.sessions == {"a": 3, "b": 2}
    assert (found.of_several_models, found.of_one_model_repeatedly) == (1, 1)
    assert [each.tester for each in found.left_out] == ["dan"]
    assert (found.n, found.position) == (5, 77)


def test_a_lopsided_allocation_is_a_mismatch() -> None:
    # 40 to 10 of 50: chi-square 18, p = 2.2e-5
    sessions = [session(f"a{at}", "a") for at in range(40)]
    sessions += [session(f"b{at}", "b") for at in range(10)]
    found = sample_ratio(playground(sessions), OPTIONS)
    assert [each.stage for each in found] == ["first shown", "shown", "submitted"]
    assert all(each.mismatch for each in found)
    assert found[0].p_value == pytest.approx(2.209e-5, rel=1e-3)
    assert (found[0].n, found[0].method, found[0].position) == (50, "chi-square", 77)


def test_a_full_model_is_no_mismatch() -> None:
    # after a's second place only b has room: what follows was intended
    sessions = [session("ada", "a"), session("ben", "b"), session("cem", "a")]
    sessions += [session(f"t{at}", "b") for at in range(40)]
    found = sample_ratio(playground(sessions, of=models("a", "b", limit=2)), OPTIONS)
    assert found[1].counts == {"a": 2, "b": 1}
    assert not any(each.mismatch for each in found)


def test_a_place_given_back_leaves_room() -> None:
    sessions = [
        session("ada", "a", status="expired"),
        session("ben", "b"),
        session("cem", "a"),
        session("dan", "b"),
        session("eva", "a"),
        session("fay", "b"),
    ]
    found = sample_ratio(playground(sessions, of=models("a", "b", limit=2)), OPTIONS)
    assert found[1].counts == {"a": 2, "b": 2}


def test_testers_count_with_the_first_model_that_they_saw() -> None:
    sessions = [session("ada", "a"), session("ada", "b"), session("ben", "b")]
    found = sample_ratio(playground(sessions), OPTIONS)
    assert found[0].counts == {"a": 1, "b": 1}
    assert found[0].unit == "testers"


def test_unequal_places_intend_what_the_ledger_reserved() -> None:
    of = (Model(key="a", limit=300), Model(key="b", limit=100))
    kept = [session(f"a{at}", "a") for at in range(60)]
    kept += [session(f"b{at}", "b") for at in range(20)]
    fair = sample_ratio(playground(kept, of=of), OPTIONS)
    assert [each.intended for each in fair] == [{"a": 0.75, "b": 0.25}] * 2
    assert [each.p_value for each in fair] == [1, 1]
    unseen = [session(f"c{at}", "b", shown=False, status="expired") for at in range(40)]
    found = sample_ratio(playground([*kept, *unseen], of=of), OPTIONS)
    # 60 and 20 of 80, where 40 and 40 were to be expected: chi-square 20
    assert found[0].p_value == pytest.approx(7.74e-6, rel=1e-3)


def test_one_model_has_no_ratio_and_no_sessions_no_p_value() -> None:
    assert sample_ratio(playground([], of=models("a")), OPTIONS) == []
    assert [each.p_value for each in sample_ratio(playground([]), OPTIONS)] == [
        None
    ] * 3


def test_attrition_counts_sessions_that_were_shown_and_have_ended() -> None:
    data = playground(
        [
            session("ada", "a", seconds=10),
            session("ben", "a", seconds=40),
            session("cem", "a", status="expired"),
            session("dan", "a", status="open"),
            session("eva", "a", status="expired", shown=False),
        ]
    )
    found, nobody = attrition(data, OPTIONS)
    assert (found.shown, found.submitted, found.completion) == (3, 2, 2 / 3)
    assert found.median_seconds == 25
    assert found.interval is not None
    assert found.interval.method == "wilson"
    assert (nobody.completion, nobody.interval, nobody.n) == (None, None, 0)


def test_models_that_lose_testers_unequally_are_told() -> None:
    # 40 of 40 against 20 of 40: chi-square 26.7
    sessions = [session(f"a{at}", "a") for at in range(40)]
    sessions += [session(f"b{at}", "b") for at in range(20)]
    sessions += [session(f"c{at}", "b", status="expired") for at in range(20)]
    found = differential(playground(sessions), OPTIONS)
    assert found is not None
    assert found.differential
    assert found.p_value == pytest.approx(2.4e-7, rel=0.02)
    assert differential(playground(sessions[:40]), OPTIONS) is None


def test_a_question_left_out_is_counted_where_it_was_asked() -> None:
    data = playground(
        [session("ada", "a", good=4, why="so"), session("ben", "a", good=2)],
        questions=(GOOD, WHY),
    )
    found = {(each.question_id, each.model_key): each for each in nonresponse(data)}
    assert (found["why", "a"].unanswered, found["why", "a"].share) == (1, 0.5)
    assert found["good", "a"].share == 0
    assert found["good", "b"].share is None


def test_a_question_is_not_missed_by_those_who_were_not_asked_it_so() -> None:
    reworded = replace(WHY, version=3)
    gone = replace(GOOD, removed=True)
    asked = replace(session("ada", "a"), revision=3)
    data = playground([asked, session("ben", "a")], questions=(gone, reworded))
    found = [each for each in nonresponse(data) if each.model_key == "a"]
    assert [(each.question_id, each.n, each.unanswered) for each in found] == [
        ("why", 1, 1)
    ]


def test_a_playground_is_full_when_every_model_has_its_submissions() -> None:
    sessions = [session("ada", "a"), session("ben", "b")]
    assert filled(playground(sessions, of=models("a", "b", limit=1)))
    assert not filled(playground(sessions, of=models("a", "b", limit=2)))
    assert not filled(playground(sessions))
