from uuid import UUID

from events.access.subjects import SubjectErased
from events.ids import SubjectId
from services.access.subjects import EraseSubject
from tests.given import given


SUBJECT = SubjectId(UUID(int=1))
ERASURE = EraseSubject(subject_id=SUBJECT, reason="Asked for on paper")


def test_a_subject_is_erased_once() -> None:
    given().when(ERASURE).then(
        SubjectErased(subject_id=SUBJECT, reason="Asked for on paper")
    ).when(ERASURE).then()
