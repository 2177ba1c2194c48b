from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Forbidden
from events.ids import SubjectId, UserId
from events.message import Command
from events.roles import AREAS, PLATFORM
from services import guard
from services.access.subjects import EraseSubject
from services.access.users import ChangeProfile, EraseUser, GrantRole, VerifyEmail
from services.guard import (
    PERMISSIONS,
    Permission,
    area_of,
    check,
    check_sign_in,
    check_system,
)
from services.routing import COMMANDS, DECIDERS
from services.testing.references import DropReference
from tests.given import meta_of
from tests.services.testing.examples import A_PERSONA


ERASURE = EraseSubject(subject_id=SubjectId(UUID(int=1)), reason="Asked for")
NO_ONE = replace(meta_of(), roles=frozenset())


def may(command: Command, *roles: str) -> bool:
    try:
        check(command, replace(NO_ONE, roles=frozenset(roles)))
    except Forbidden:
        return False
    return True


def test_every_public_command_has_a_row_and_no_other() -> None:
    assert PERMISSIONS.keys() == set(COMMANDS.values())


def test_users_and_admins_may_author() -> None:
    assert may(A_PERSONA, "user")
    assert may(A_PERSONA, "viewer", "admin")


def test_viewers_and_people_without_a_role_may_not() -> None:
    assert not may(A_PERSONA, "viewer")
    assert not may(A_PERSONA)


def test_only_an_admin_may_erase() -> None:
    assert may(ERASURE, "admin")
    assert not may(ERASURE, "user")


def test_a_role_in_an_area_is_good_there_only() -> None:
    assert may(A_PERSONA, "testing:user")
    assert may(ERASURE, "access:admin")
    assert not may(A_PERSONA, "access:admin", "education:user")
    assert not may(A_PERSONA, "testing:", ":user", "testing:user:user")


def test_who_runs_the_installation_is_no_organisations_admin() -> None:
    assert not may(A_PERSONA, PLATFORM)
    assert not may(ERASURE, PLATFORM)


def test_every_command_is_of_a_known_area() -> None:
    assert {area_of(kind) for kind in PERMISSIONS} <= set(AREAS)


def test_a_refusal_says_what_is_needed() -> None:
    with pytest.raises(Forbidden, match="needs the role admin or user"):
        check(A_PERSONA, NO_ONE)


def test_what_deciders_ask_of_each_other_nobody_else_may_ask() -> None:
    with pytest.raises(Forbidden, match="from outside"):
        check(DropReference(target_id=UUID(int=1), by="me"), meta_of())
    internal = {kind for decider in DECIDERS for kind in decider.internal}
    assert not internal & PERMISSIONS.keys()


def test_a_scope_is_needed_where_the_table_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = Permission(roles=frozenset({"admin"}), scopes=frozenset({"import"}))
    monkeypatch.setattr(guard, "PERMISSIONS", {EraseSubject: row})
    monkeypatch.setattr(guard, "may", guard.may.__wrapped__)
    with pytest.raises(Forbidden, match="needs the scope import"):
        check(ERASURE, meta_of())
    check(ERASURE, replace(meta_of(), scopes=frozenset({"import"})))


def test_a_user_may_ask_for_what_is_their_own() -> None:
    mila = UserId(UUID(int=7))
    profile = ChangeProfile(user_id=mila, bio="Reads")
    for actor, passes in (
        (f"user:{mila}", True),
        (f"service:{mila}", False),
        ("user:operator", False),
    ):
        asker = replace(NO_ONE, actor=actor)
        if passes:
            check(profile, asker)
        else:
            with pytest.raises(Forbidden):
                check(profile, asker)
    with pytest.raises(Forbidden):
        check(
            GrantRole(user_id=mila, area="access", role="admin"),
            replace(NO_ONE, actor=f"user:{mila}"),
        )


def test_signing_in_asks_for_nothing_but_what_it_leaves_behind() -> None:
    mila = UserId(UUID(int=7))
    check_sign_in(VerifyEmail(user_id=mila), NO_ONE)
    for command in (ERASURE, A_PERSONA, EraseUser(user_id=mila, reason="Asked for")):
        with pytest.raises(Forbidden):
            check_sign_in(command, meta_of())


def test_the_system_may_ask_for_anything_and_nobody_else() -> None:
    dropped = DropReference(target_id=UUID(int=1), by="me")
    check_system(dropped, replace(NO_ONE, actor="system:dispatcher"))
    with pytest.raises(Forbidden):
        check_system(A_PERSONA, meta_of())
