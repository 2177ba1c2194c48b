"""The rules of service tokens."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from events.access.common import Grant
from events.access.service_tokens import ServiceTokenIssued, ServiceTokenRevoked
from events.ids import ServiceTokenId
from services.access.common import AlreadyExists
from services.access.service_tokens import (
    IssueServiceToken,
    NoSuchServiceToken,
    RevokeServiceToken,
)
from tests.given import given


TOKEN: Final = ServiceTokenId(UUID(int=7))
LATER: Final = datetime(2027, 1, 1, tzinfo=UTC)
USER: Final = Grant(area="testing", role="user")
ISSUE: Final = IssueServiceToken(
    token_id=TOKEN,
    service="loader",
    grants=(USER, USER),
    scopes=("import", "import"),
    expires_at=LATER,
)
REVOKE: Final = RevokeServiceToken(token_id=TOKEN, reason="Replaced")


def test_a_token_is_issued_with_each_grant_and_scope_once() -> None:
    given().when(ISSUE).then(
        ServiceTokenIssued(
            token_id=TOKEN,
            service="loader",
            grants=(USER,),
            scopes=("import",),
            expires_at=LATER,
        )
    )


def test_an_id_is_issued_once() -> None:
    given(ISSUE).when(ISSUE).then_refused(AlreadyExists)


def test_a_token_is_revoked_once() -> None:
    given(ISSUE).when(REVOKE).then(
        ServiceTokenRevoked(token_id=TOKEN, reason="Replaced")
    )
    given(ISSUE, REVOKE).when(REVOKE).then()


def test_what_was_never_issued_cannot_be_revoked() -> None:
    given().when(REVOKE).then_refused(NoSuchServiceToken)
