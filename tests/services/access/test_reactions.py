from uuid import UUID

import msgspec

from events.access.users import (
    EmailChanged,
    RoleRevoked,
    UserDeactivated,
    UserErased,
)
from events.ids import UserId
from services.access.reactions import END_SESSIONS, REACTIONS, EndSessionsBody
from services.ports import Job
from tests.recorded import at, recorded


INES = UserId(UUID(int=1))


def test_the_sessions_of_who_may_not_sign_in_end() -> None:
    left = UserDeactivated(user_id=INES, reason="Left")
    erased = UserErased(user_id=INES)
    revoked = RoleRevoked(user_id=INES, area="testing", role="user")
    found = []
    for fact in recorded(left, erased, revoked):
        (react,) = REACTIONS[type(fact.event)]
        (job,) = react(fact)
        assert isinstance(job, Job)
        assert (job.kind, job.key) == (END_SESSIONS, fact.stream_id)
        found.append(msgspec.convert(job.body, EndSessionsBody))
    assert found == [
        EndSessionsBody(user_id=INES, why="deactivated", until=at(1)),
        EndSessionsBody(user_id=INES, why="erased", until=at(2)),
        EndSessionsBody(user_id=INES, why="changed", until=at(3)),
    ]
    assert REACTIONS[EmailChanged] == REACTIONS[RoleRevoked]
