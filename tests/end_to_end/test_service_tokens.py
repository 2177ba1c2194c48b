"""Programs sign in with tokens of their own, over HTTP and AMQP, until these end."""

import asyncio
from contextlib import suppress
from typing import Any, Final

import pytest

from events.errors import Unauthenticated
from infra.believing import bearers
from infra.clock import new_id
from services.accounts.service_tokens import new_token
from services.identity import Verifier
from tests.end_to_end.amqp import amqp
from tests.end_to_end.people import Answer, Person, administrator
from tests.end_to_end.stack import OTHER_ORG, Stack


PATH: Final = "/v1/auth/service-tokens"
GRANT: Final = {"area": "testing", "role": "user"}


def persona() -> dict[str, str]:
    return {
        "persona_id": str(new_id()),
        "name": "Ada",
        "role": "customer",
        "background": "Has lost a book",
    }


async def issued(stack: Stack, **asked: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    body = {"service": "loader", "grants": [GRANT], **asked}
    answer = await administrator(stack).ask("POST", PATH, body)
    assert answer.status == 201, answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.json
    return found


def believes(verifier: Verifier, token: str) -> bool:
    with suppress(Unauthenticated):
        return verifier.verify(token).actor == "service:loader"
    return False


def bearer(stack: Stack, token: str) -> Person:
    return Person(stack=stack, email="-", tokens={"access_token": token})


async def revoke(stack: Stack, token_id: str, **asked: Any) -> Answer:  # noqa: ANN401 - see issued
    who = administrator(stack, **asked)
    body = {"reason": "Replaced"}
    return await who.ask("POST", f"{PATH}/{token_id}/revocation", body)


async def test_a_service_may_do_what_its_token_says_until_it_is_revoked(
    stack: Stack,
) -> None:
    given = await issued(stack, scopes=["import", "events"])
    loader = bearer(stack, given["token"])
    me = (await loader.ask("GET", "/v1/auth/me")).json
    assert (me["actor"], me["roles"]) == ("service:loader", ["testing:user"])
    assert me["scopes"] == ["events", "import"]
    assert (await loader.command("testing.CreatePersona", **persona())).status == 200
    assert (await loader.ask("GET", "/v1/events")).status == 200
    refused = await loader.ask("POST", PATH, {"service": "another"})
    assert refused.status == 403

    first = await revoke(stack, given["token_id"])
    assert first.status == 200, first.body
    answer = await loader.command("testing.CreatePersona", **persona())
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert (await revoke(stack, given["token_id"])).json == first.json


async def test_the_secret_is_nowhere_but_in_the_answer(stack: Stack) -> None:
    given = await issued(stack, service="secretive")
    await stack.caught_up()
    rows = await administrator(stack).ask("GET", "/v1/access/service_tokens")
    assert b"secretive" in rows.body
    kept = await stack.as_superuser(
        "SELECT row_to_json(t)::text AS kept FROM sign_in.service_tokens AS t"
        " UNION ALL SELECT data::text FROM es.events"
    )
    found = "".join(row["kept"] for row in kept) + rows.body.decode()
    assert given["token_id"] in found
    assert given["token"] not in found
    assert given["token"].removeprefix("rhs_")[24:] not in found


async def test_every_process_learns_of_tokens_and_of_their_end(stack: Stack) -> None:
    async with (
        bearers(stack.settings, stack.project) as elsewhere,
        asyncio.timeout(20),
    ):
        given = await issued(stack)
        while not believes(elsewhere.verifier, given["token"]):  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(0.05)
        assert (await revoke(stack, given["token_id"])).status == 200
        while believes(elsewhere.verifier, given["token"]):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)


async def test_a_token_is_as_good_over_amqp(stack: Stack, rabbitmq: str) -> None:
    given = await issued(stack)
    asked = {"type": "testing.CreatePersona", **persona()}
    async with amqp(stack, rabbitmq) as producer:
        outcome = await producer.ask(asked, token=given["token"])
        assert outcome["status"] == "ok"
        refused = await producer.ask(asked, token=new_token(new_id()))
        assert refused["code"] == "unauthenticated"
    (recorded,) = [
        each for each in await stack.events() if each.position == outcome["position"]
    ]
    assert recorded.actor == "service:loader"


async def test_only_a_whole_token_of_the_own_organisation_counts(stack: Stack) -> None:
    given = await issued(stack)
    whole: str = given["token"]
    for wrong in (
        whole[:-1],
        whole[:-1] + ("A" if whole[-1] != "A" else "B"),
        new_token(new_id()),
        "rhs_",
    ):
        answer = await bearer(stack, wrong).ask("GET", "/v1/auth/me")
        assert answer.status == 401, wrong
    other = await revoke(stack, given["token_id"], org=OTHER_ORG)
    assert other.status == 404
    assert (await bearer(stack, whole).ask("GET", "/v1/auth/me")).status == 200
    assert (await revoke(stack, "nonsense")).status == 400


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"service": "a b"}, "$.service"),
        ({"service": "loader\n"}, "$.service"),
        ({"days": 0}, "$.days"),
        ({"days": 10**30}, "$.days"),
        ({"scopes": ["platform"]}, "$.scopes[0]"),
        ({"grants": [{"area": "everything", "role": "admin"}]}, "$.grants[0].area"),
        ({"grants": "testing:user"}, "$.grants"),
    ],
)
async def test_what_cannot_be_asked_for_is_told_with_its_path(
    stack: Stack, wrong: dict[str, object], path: str
) -> None:
    body = {"service": "loader", **wrong}
    answer = await administrator(stack).ask("POST", PATH, body)
    assert (answer.status, answer.json["path"]) == (400, path)
