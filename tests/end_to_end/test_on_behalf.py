"""A service asks for a user: it is told who, and the user sees it; no right grows."""

from typing import Any, Final
from uuid import UUID

import pytest

from events.ids import PersonaId
from infra.clock import new_id
from services.client.client import Client, Request
from services.handling import NobodyToAskFor
from services.testing.personas import ChangePersonaDetails, CreatePersona
from tests.end_to_end.people import Answer, Person, administrator, open_to_all
from tests.end_to_end.stack import ORG, OTHER_ORG, Stack


TOKENS: Final = "/v1/auth/service-tokens"
HEADER: Final = "Rehearsal-On-Behalf-Of"


async def registered(stack: Stack, name: str, org: str) -> Person:
    found = Person(stack=stack, email=f"{name}@{org}.example", org=org)
    assert (await found.register()).status == 201
    return found


@pytest.fixture(scope="module")
async def ines(stack: Stack) -> Person:
    await open_to_all(stack)
    return await registered(stack, "ines", ORG)


@pytest.fixture(scope="module")
async def stranger(stack: Stack) -> Person:
    await open_to_all(stack, OTHER_ORG)
    return await registered(stack, "stan", OTHER_ORG)


async def service(stack: Stack, *scopes: str) -> str:
    """Return the token of a service that may write in testing."""
    body = {
        "service": "shop",
        "grants": [{"area": "testing", "role": "user"}],
        "scopes": list(scopes),
    }
    answer = await administrator(stack).ask("POST", TOKENS, body)
    assert answer.status == 201, answer.body
    return str(answer.json["token"])


def persona(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "type": "testing.CreatePersona",
        "persona_id": str(new_id()),
        "name": "Ada",
        "role": "customer",
        "background": "Has lost a book",
        **fields,
    }


async def asked(
    stack: Stack,
    token: str,
    named: str,
    command_id: UUID | None = None,
    /,
    **command: Any,  # noqa: ANN401 - JSON
) -> Answer:
    shop = Person(stack=stack, email="-", tokens={"access_token": token})
    return await shop.ask(
        "POST",
        "/v1/commands",
        command or persona(),
        Idempotency_Key=str(command_id or new_id()),
        Rehearsal_On_Behalf_Of=named,
    )


async def acts_of(person: Person, **where: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in where.items())
    answer = await person.ask("GET", f"/v1/audit/audit_log?{query}")
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = answer.json["rows"]
    return rows


async def test_who_it_was_for_is_in_the_log_and_seen_by_them(
    stack: Stack, ines: Person, stranger: Person
) -> None:
    token, named = await service(stack, "delegate"), f"user:{ines.id}"
    first, second = PersonaId(new_id()), PersonaId(new_id())
    async with Client(stack.url, token) as client:
        made = await client.send(
            CreatePersona(
                persona_id=first, name="A", role="customer", background="Lost a book"
            ),
            on_behalf_of=named,
        )
        batch = await client.send_many(
            [
                Request(
                    command_id=new_id(),
                    command=CreatePersona(
                        persona_id=second, name="B", role="customer", background="Late"
                    ),
                    on_behalf_of=named.upper().replace("USER", "user"),
                ),
                Request(
                    command_id=new_id(),
                    command=ChangePersonaDetails(persona_id=second, name="C"),
                ),
            ]
        )
    assert not any(isinstance(each, Exception) for each in batch)
    await stack.caught_up()
    (recorded, *_) = [
        each for each in await stack.events() if each.command_id == made.command_id
    ]
    assert (recorded.actor, recorded.on_behalf_of) == ("service:shop", named)

    theirs = await acts_of(ines, on_behalf_of=named, sort="position")
    assert [act["resource_id"] for act in theirs] == [str(first), str(second)]
    assert {act["actor"] for act in theirs} == {"service:shop"}
    assert (
        await acts_of(
            ines, resource_id=str(second), action="testing.PersonaDetailsChanged"
        )
        == []
    )
    assert await acts_of(administrator(stack), on_behalf_of=named) != []
    assert await acts_of(stranger, on_behalf_of=named) == []


async def test_only_a_service_with_the_scope_asks_for_somebody(
    stack: Stack, ines: Person
) -> None:
    named = f"user:{ines.id}"
    plain = await service(stack, "import")
    person = stack.issuer.issue(
        "user:ada", org=ORG, roles=["admin"], scopes=["delegate"]
    )
    for token in (plain, person):
        answer = await asked(stack, token, named)
        assert (answer.status, answer.json["path"]) == (403, f"headers.{HEADER}")


async def test_somebody_is_an_active_user_of_the_same_organisation(
    stack: Stack, ines: Person, stranger: Person
) -> None:
    token = await service(stack, "delegate")
    before = len(await stack.events())
    for nobody in (stranger.id, UUID(int=7)):
        answer = await asked(stack, token, f"user:{nobody}")
        assert (answer.status, answer.json["path"]) == (403, "on_behalf_of")
    for odd in ("", "user:", "user:ada", f"service:{ines.id}", "x" * 5_000):
        answer = await asked(stack, token, odd)
        assert (answer.status, answer.json["path"]) == (400, f"headers.{HEADER}")
    assert len(await stack.events()) == before

    left = await registered(stack, "lena", ORG)
    named, command, command_id = f"user:{left.id}", persona(), new_id()
    done = await asked(stack, token, named, command_id, **command)
    assert done.status == 200
    gone = await administrator(stack).command(
        "access.DeactivateUser", user_id=str(left.id), reason="Left"
    )
    assert gone.status == 200, gone.body
    assert (await asked(stack, token, named)).status == 403
    again = await asked(stack, token, named, command_id, **command)
    assert again.json == {**done.json, "status": "duplicate"}
    async with Client(stack.url, token) as client:
        another = CreatePersona(
            persona_id=PersonaId(new_id()),
            name="A",
            role="customer",
            background="Lost a book",
        )
        (verdict,) = await client.send_many(
            [Request(command_id=new_id(), command=another, on_behalf_of=named)]
        )
    assert str(verdict) == NobodyToAskFor.__doc__


async def test_nobodys_rights_are_borrowed(stack: Stack) -> None:
    chief = await registered(stack, "chief", ORG)
    granted = await administrator(stack).command(
        "access.GrantRole", user_id=str(chief.id), area="experiments", role="admin"
    )
    assert granted.status == 200, granted.body
    token = await service(stack, "delegate")
    for command in (
        {"type": "access.EraseUser", "user_id": str(chief.id), "reason": "Asked"},
        {
            "type": "experiments.CancelExperiment",
            "experiment_id": str(new_id()),
            "reason": "Asked",
        },
    ):
        answer = await asked(stack, token, f"user:{chief.id}", **command)
        assert answer.status == 403, answer.body
        assert "role" in answer.json["detail"]
