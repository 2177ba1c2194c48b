"""Simulated testers have accounts, and fill a playground however often they come."""

from typing import Any

from events.access.users import UserSignedIn
from infra.mail.outbox import OUTBOX
from infra.operations.judging import CAP, TESTERS, Judged, address_of, fill
from services.accounts.limits import SignInLimits
from tests.end_to_end.people import administrator
from tests.end_to_end.stack import ORG, Stack


async def filled(stack: Stack) -> Judged:
    async def wait(seconds: float) -> None:
        """Let the seconds pass that somebody is told to wait."""
        assert seconds >= 1
        await stack.as_superuser("DELETE FROM sign_in.rates")

    letters = stack.settings.data_dir / OUTBOX
    found = await fill(stack.url, stack.token, org=ORG, letters=letters, wait=wait)
    await stack.caught_up()
    return found


async def rows(stack: Stack, table: str) -> list[dict[str, Any]]:
    async with stack.client() as client:
        return [row async for row in client.rows(f"playgrounds.{table}")]


def test_as_many_sign_in_as_may_at_once_from_one_network_address() -> None:
    assert SignInLimits().per_address.burst >= 2 * TESTERS


async def test_testers_sign_in_again_and_nothing_else_happens(stack: Stack) -> None:
    first = await filled(stack)
    counters = await rows(stack, "evaluation_counters")
    assert [row["current_count"] for row in counters] == [CAP, CAP]
    assert first.testers == TESTERS
    assert first.refused
    users = await rows(stack, "users")
    assert {row["email"] for row in users} == set(map(address_of, range(TESTERS)))
    assert {row["role"] for row in users} == {"tester"}
    answers = await rows(stack, "evaluations")
    assert {row["user_id"] for row in answers} == {row["id"] for row in users}

    before = await stack.events()
    again = await filled(stack)
    assert again == first
    assert await rows(stack, "evaluation_counters") == counters
    since = (await stack.events())[len(before) :]
    assert [type(each.event) for each in since] == [UserSignedIn] * TESTERS


async def test_whoever_was_erased_or_deactivated_stays_away(stack: Stack) -> None:
    await filled(stack)
    users = {row["email"]: row["id"] for row in await rows(stack, "users")}
    admin = administrator(stack)
    for number, kind in ((0, "access.EraseUser"), (1, "access.DeactivateUser")):
        left = await admin.command(
            kind, user_id=users[address_of(number)], reason="Left"
        )
        assert left.status == 200, left.body

    before = await stack.events()
    again = await filled(stack)
    assert again.testers == TESTERS - 2
    since = (await stack.events())[len(before) :]
    signed_in = [each for each in since if isinstance(each.event, UserSignedIn)]
    assert len(signed_in) == TESTERS - 2
    assert since == signed_in
