"""The read table `trial_entries`."""

from events.message import ERASED
from projections.testing.trial_entries import PROJECTION
from tests.given_rows import Given, given
from tests.projections.testing.story import (
    ERASED_SUBJECT,
    SUBJECT,
    TRIAL,
    called,
    returned,
    said,
)
from tests.recorded import at, recorded


def test_a_message_says_who_spoke() -> None:
    given(PROJECTION, said(1, "Hello")).then(
        {
            "trial_id": str(TRIAL),
            "seq": 1,
            "kind": "message",
            "role": "user",
            "speaker": "Late reader",
            "text": "Hello",
            "arguments": None,
            "engine": "recorded",
            "subject_id": None,
            "at": at(1),
        }
    )


def test_a_call_and_its_result_have_the_call_in_common() -> None:
    given(PROJECTION, called(1, '{"weeks": 2}'), returned(2, "renewed")).then(
        {
            "kind": "tool_call",
            "role": "assistant",
            "name": "renew",
            "call_id": "call-1",
            "text": None,
            "arguments": '{"weeks": 2}',
        },
        {
            "kind": "tool_result",
            "role": "tool",
            "name": "renew",
            "call_id": "call-1",
            "text": "renewed",
            "arguments": None,
        },
    )


def test_erasing_a_subject_takes_its_text_away_and_no_other() -> None:
    given(
        PROJECTION,
        said(1, "I am Ana", subject_id=SUBJECT),
        called(2, '{"name": "Ana"}', subject_id=SUBJECT),
        said(3, "Welcome"),
        ERASED_SUBJECT,
    ).then(
        {"seq": 1, "text": ERASED, "speaker": None, "subject_id": str(SUBJECT)},
        {"seq": 2, "arguments": ERASED, "name": "renew"},
        {"seq": 3, "text": "Welcome", "speaker": "Late reader"},
    )


def test_another_organisation_cannot_erase_our_subject() -> None:
    ours = recorded(said(1, "I am Ana", subject_id=SUBJECT))
    theirs = recorded(ERASED_SUBJECT, after=1, org_id="elsewhere")
    Given(PROJECTION, [*ours, *theirs]).then({"text": "I am Ana"})


def test_rows_are_the_same_whether_read_before_or_after_the_erasure() -> None:
    before = given(
        PROJECTION,
        said(1, "I am Ana", subject_id=SUBJECT),
        called(2, '{"name": "Ana"}', subject_id=SUBJECT),
        returned(3, "Ana, found", subject_id=SUBJECT),
        ERASED_SUBJECT,
    )
    after = given(
        PROJECTION,
        said(1, ERASED, subject_id=SUBJECT),
        called(2, ERASED, subject_id=SUBJECT),
        returned(3, ERASED, subject_id=SUBJECT),
    )
    assert before.rows() == after.rows()


def test_other_worlds_conversations_are_not_entries() -> None:
    elsewhere = recorded(said(1, "Hi"), stream_id="education.playthrough-1")
    Given(PROJECTION, elsewhere).then()
