"""The rules of logins in PostgreSQL."""

from typing import Final
from uuid import UUID

import msgspec
import pytest

from events.access.sql_logins import SqlLoginGiven, SqlLoginTaken
from events.ids import UserId
from services.access.sql_logins import (
    GiveSqlLogin,
    NoSuchSqlLogin,
    SqlLoginHeld,
    TakeSqlLogin,
    login_id,
)
from tests.given import given


INES: Final = UserId(UUID(int=1))
NOEL: Final = UserId(UUID(int=2))
GIVE: Final = GiveSqlLogin(login="ines", user_id=INES)
TAKE: Final = TakeSqlLogin(login="ines", reason="Left")
GIVEN: Final = SqlLoginGiven(login_id=login_id("ines"), login="ines", user_id=INES)


def test_a_login_is_given_once() -> None:
    given().when(GIVE).then(GIVEN)
    given(GIVE).when(GIVE).then()


def test_a_login_stands_for_one_user() -> None:
    other = GiveSqlLogin(login="ines", user_id=NOEL)
    given(GIVE).when(other).then_refused(SqlLoginHeld)


def test_a_login_that_was_taken_can_be_given_again() -> None:
    given(GIVE).when(TAKE).then(SqlLoginTaken(login_id=login_id("ines"), reason="Left"))
    given(GIVE, TAKE).when(TAKE).then()
    given(GIVE, TAKE).when(GIVE).then(GIVEN)


def test_what_was_never_given_cannot_be_taken() -> None:
    given().when(TAKE).then_refused(NoSuchSqlLogin)


@pytest.mark.parametrize(
    "name",
    [
        *("postgres", "pg_ines", "rehearsal_reader", "Ines", "in", "1nes", "ines\n"),
        *('i"nes', "i nes", "x" * 64, "inès", ""),
    ],
)
def test_names_of_the_server_and_of_the_system_are_no_logins(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"login": name, "user_id": INES}, GiveSqlLogin)
