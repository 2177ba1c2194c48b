"""The rows of the playgrounds context's read tables."""

from collections import Counter
from uuid import UUID

from events.message import ERASED
from events.people import person_id
from events.playgrounds.playgrounds import ModelAdded
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
from projections.projection import Projection
from services.playgrounds import markup
from services.playgrounds.playgrounds import DeletePlayground
from tests.given_rows import Row, given
from tests.projections.playgrounds.story import (
    CREATE,
    LISTED,
    OWNER,
    TESS_ERASED,
    changes,
    evaluated,
    told,
    whole,
)
from tests.recorded import at
from tests.services.playgrounds.examples import (
    AGAIN,
    BETTER,
    PLAYGROUND,
    WHICH,
    WHY,
    session,
)


MILA = person_id("library", "mila")


def rows(projection: Projection, *more: object) -> list[Row]:
    return given(projection, *evaluated(), *more).rows()  # type: ignore[arg-type]


def test_a_playground_is_a_row_with_its_creator() -> None:
    given(playgrounds.PROJECTION, *told((CREATE, OWNER))).then(
        {
            "id": PLAYGROUND,
            "name": "Greetings",
            "type": "ab_testing",
            "created_by": MILA,
            "owner": "mila",
            "is_active": True,
            "status": "active",
            "is_restricted": False,
            "created_at": at(1),
        }
    )


def test_a_playground_changes_is_restricted_and_closed() -> None:
    (row,) = given(playgrounds.PROJECTION, *whole()).rows()
    assert (row["name"], row["is_restricted"]) == ("Farewells", True)
    assert (row["status"], row["is_active"]) == ("archived", False)
    assert row["archived_at"] == row["updated_at"]


def test_the_access_list_holds_who_is_listed_now() -> None:
    listed = given(access_list.PROJECTION, *whole()).rows()
    assert [(row["number"], row["email"]) for row in listed] == [
        (3, "tess@example.org"),
        (4, "old@example.org"),
    ]


def test_models_say_how_they_are_reached_and_when_they_are_closed() -> None:
    found = given(model_configurations.PROJECTION, *whole()).rows()
    by_key = {row["model_key"]: row for row in found}
    assert by_key["model_c"]["provider"] == "iframe"
    assert by_key["model_c"]["embed_code"] == (
        '<iframe src="https://bot.example/chat?a=1&amp;b=2"></iframe>'
    )
    assert {row["is_closed"] for row in found} == {True}
    for event in told((CREATE, OWNER)):
        if isinstance(event, ModelAdded):
            code = model_configurations.embed_code(event.provider, event.agent_id)
            known = markup.parsed(code, path="$")
            assert (known.provider, known.agent_id) == (event.provider, event.agent_id)


def test_counters_follow_places_that_are_used_and_given_back() -> None:
    found = rows(evaluation_counters.PROJECTION)
    assert sum(int(str(row["current_count"])) for row in found) == 2
    assert sum(int(str(row["given"])) for row in found) == 5
    assert {row["reserved"] for row in found} == {0}


def test_questions_keep_what_was_removed_and_follow_their_order() -> None:
    found = given(questions.PROJECTION, *whole()).rows()
    by_id = {row["id"]: row for row in found}
    assert by_id[WHICH]["question_text"] == "Tone?"
    assert by_id[WHICH]["options"] == [
        {"label": "Warm", "value": "warm"},
        {"label": "Flat", "value": "flat"},
    ]
    assert (by_id[AGAIN]["order_index"], by_id[AGAIN]["model_key"]) == (0, "model_c")
    assert by_id[WHY]["removed_at"] is not None
    assert by_id[BETTER]["removed_at"] is None


def test_the_same_question_id_in_another_playground_is_another_question() -> None:
    other = CREATE.__class__(
        **{
            **{name: getattr(CREATE, name) for name in CREATE.__struct_fields__},
            "playground_id": UUID(int=77),
        }
    )
    both = told((CREATE, OWNER), (other, OWNER))
    for projection in (questions.PROJECTION, question_metrics.PROJECTION):
        found = given(projection, *both).rows()
        assert set(Counter(row["id"] for row in found).values()) == {2}


def test_every_answer_is_a_row_and_says_whether_it_counts() -> None:
    found = rows(evaluations.PROJECTION)
    assert len(found) == 3 + 4 + 2 + 4
    of_session = {
        number: [row for row in found if row["session_id"] == session(number)]
        for number in (1, 2, 3, 4)
    }
    assert {row["counted"] for row in of_session[1] + of_session[2]} == {True}
    assert {row["counted"] for row in of_session[3] + of_session[4]} == {False}
    texts = {row["question_id"]: row["answer_text"] for row in of_session[1]}
    assert texts[WHY] == "It let me finish."
    assert {row["user_id"] for row in of_session[1]} == {person_id("library", "tess")}


def test_an_erased_tester_s_texts_are_gone_and_all_else_stays() -> None:
    found = rows(evaluations.PROJECTION, TESS_ERASED)
    assert sorted(str(row["answer_text"]) for row in found if row["answer_text"]) == [
        "No.",
        ERASED,
        ERASED,
    ]
    assert len(found) == 13


def test_sessions_show_what_became_of_every_place() -> None:
    found = {row["id"]: row for row in rows(evaluation_sessions.PROJECTION)}
    assert [found[session(number)]["status"] for number in range(1, 6)] == [
        "submitted",
        "submitted",
        "excluded",
        "withdrawn",
        "abandoned",
    ]
    first, second = found[session(1)], found[session(2)]
    assert (first["ordinal"], second["ordinal"]) == (1, 2)
    assert second["previous_model_key"] == first["model_key"]
    assert (first["answers"], first["time_spent_ms"]) == (3, 1_500)
    assert first["shown_at"] is not None
    assert found[session(3)]["exclusion_reason"] == "A robot"


def test_what_was_written_is_kept_under_a_pseudonym() -> None:
    found = rows(open_responses.PROJECTION)
    assert len(found) == 3
    names = Counter(row["tester_pseudonym"] for row in found)
    assert sorted(names.values()) == [1, 2]
    assert "answer_text" not in found[0]


def test_choices_are_those_that_are_offered_now() -> None:
    found = {
        row["id"]: row for row in given(question_metrics.PROJECTION, *whole()).rows()
    }
    assert [choice["value"] for choice in found[WHICH]["choices"]] == ["warm", "flat"]  # type: ignore[attr-defined]
    assert [choice["value"] for choice in found[AGAIN]["choices"]] == ["true", "false"]  # type: ignore[attr-defined]
    assert WHY not in found


def test_nothing_is_left_of_a_deleted_playground() -> None:
    deleted = told(
        (CREATE, OWNER),
        (LISTED, OWNER),
        (DeletePlayground(playground_id=PLAYGROUND), OWNER),
    )
    for projection in (
        playgrounds.PROJECTION,
        access_list.PROJECTION,
        model_configurations.PROJECTION,
        evaluation_counters.PROJECTION,
        questions.PROJECTION,
        playground_metrics.PROJECTION,
        question_metrics.PROJECTION,
    ):
        given(projection, *deleted).then()


def test_the_story_changes_what_it_says() -> None:
    assert len(changes()) > 10
