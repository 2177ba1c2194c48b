"""Exports of a small playground, row by row."""

from typing import get_args

from services.playgrounds.exports import Shape, columns, rows
from services.playgrounds.statistics.records import Evaluations
from tests.services.playgrounds.statistics.given_evaluations import (
    BETTER,
    GOOD,
    WHY,
    playground,
    session,
)


def small() -> Evaluations:
    before = session("ada", "a", good=5, why="=1+1")
    return playground(
        [
            before,
            session("ada", "b", previous=before.id, good=3, better="second"),
            session("ben", "a", status="excluded", good=1),
        ],
        questions=(GOOD, WHY, BETTER),
    )


def test_long_has_a_row_for_each_answer_that_counts() -> None:
    found = list(rows("long", small()))
    said = [
        (row["tester"], row["model_key"], row["question_id"], row["rating"])
        for row in found
    ]
    assert said == [
        ("ada", "a", "good", 5),
        ("ada", "a", "why", None),
        ("ada", "b", "good", 3),
        ("ada", "b", "better", None),
    ]
    assert found[1]["answer_text"] == "=1+1"
    assert found[0]["question_type"] == "rating"


def test_wide_has_a_row_for_each_session_and_a_column_for_each_question() -> None:
    first, second, excluded = rows("wide", small())
    assert (first["good"], first["why"], first["better"]) == (5, "=1+1", None)
    assert (second["good"], second["why"], second["better"]) == (3, None, "second")
    assert (excluded["status"], excluded["good"]) == ("excluded", 1)
    assert "good.rating" not in first
    assert first["why.rating"] is None


def test_battles_say_who_was_seen_first_and_who_won() -> None:
    found = [
        (row["source"], row["model_a"], row["model_b"], row["winner"])
        for row in rows("battles", small())
    ]
    assert found == [("rating", "a", "b", "model_a"), ("pairwise", "a", "b", "model_b")]


def test_preferences_are_pairs_of_chosen_and_rejected() -> None:
    found = [
        (row["source"], row["chosen"], row["rejected"], row["chosen_seen_first"])
        for row in rows("preferences", small())
    ]
    assert found == [("rating", "a", "b", True), ("pairwise", "b", "a", False)]


def test_a_tie_is_a_battle_but_no_preference() -> None:
    even = playground([session("ada", "a", good=3), session("ada", "b", good=3)])
    assert [row["winner"] for row in rows("battles", even)] == ["tie"]
    assert list(rows("preferences", even)) == []


def test_the_codebook_explains_every_question() -> None:
    found = list(rows("codebook", small()))
    assert [row["question_id"] for row in found] == ["good", "why", "better"]
    assert found[0]["question_text"] == "Was it good?"


def test_every_row_has_its_shapes_columns_and_its_position() -> None:
    for shape in get_args(Shape):
        for row in rows(shape, small()):
            assert list(row) == list(columns(shape, small()))
            assert (row["playground_id"], row["position"]) == ("p", 77)
