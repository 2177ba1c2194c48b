"""Operators look after people who use a running stack."""

import asyncio
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from infra.mail.outbox import OUTBOX
from tests.end_to_end.people import code_in, texts_to
from tests.infra.commands.process import Answer, Up, rehearsal


ORG: Final = "people"
EMAIL: Final = "ines@library.example"


async def ask(up: Up, *words: object) -> Answer:
    """Ask an operator's question about people."""
    return await rehearsal(*words, "--data-dir", up.data_dir, "--json", "--org", ORG)


async def auth(up: Up, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
    """Post to a route of signing in, and return what it answers."""
    url = f"{up.url}/v1/auth/{path}"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as answer:
        return {"status": answer.status, **await answer.json(content_type=None)}


async def status_of_me(up: Up, token: str) -> int:
    """Return how the stack answers who asks who they are."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{up.url}/v1/auth/me"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as found:
        return found.status


async def roles_of(up: Up, token: str) -> Any:  # noqa: ANN401 - JSON
    """Return the roles that a token is believed to give."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{up.url}/v1/auth/me"
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as found:
        assert found.status == 200
        return (await found.json())["roles"]


async def code(up: Up) -> str:
    """Ask for a code and return it, once it has come."""
    folder = Path(up.data_dir) / OUTBOX
    before = len(texts_to(folder, EMAIL))
    assert (await auth(up, "codes", org=ORG, email=EMAIL))["status"] == 202
    async with asyncio.timeout(10):
        while len(found := texts_to(folder, EMAIL)) == before:  # noqa: ASYNC110 - a file wakes no one
            await asyncio.sleep(0.02)
    return code_in(found[-1])


async def test_from_an_organisation_to_the_end_of_an_account(up: Up) -> None:
    made = await ask(
        up, "organisations", "create", "The library", "--grant", "testing:viewer"
    )
    assert made.code == 0, made
    opened = await ask(up, "organisations", "change", "--registration", "open")
    assert opened.code == 0, opened
    shown = (await ask(up, "organisations", "show")).json
    assert (shown["name"], shown["registration"]) == ("The library", "open")
    assert shown["default_grants"] == [{"area": "testing", "role": "viewer"}]

    tokens = await auth(
        up,
        "register",
        org=ORG,
        email=EMAIL,
        code=await code(up),
        username="ines",
        full_name="Ines",
    )
    assert tokens["status"] == 201, tokens
    granted = await ask(up, "users", "grant", EMAIL, "testing", "user")
    assert granted.json["user_id"] == tokens["user_id"]
    (row,) = (await ask(up, "users", "list")).json["users"]
    assert (row["email"], row["grants"]) == (EMAIL, ["testing:user", "testing:viewer"])
    assert await status_of_me(up, tokens["access_token"]) == 200
    assert (await ask(up, "users", "revoke", EMAIL, "testing", "viewer")).code == 0

    async with asyncio.timeout(30):
        while await status_of_me(up, tokens["access_token"]) != 401:  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.05)
    tokens = await auth(up, "refresh", refresh_token=tokens["refresh_token"])
    assert tokens["status"] == 200, tokens
    assert await roles_of(up, tokens["access_token"]) == ["testing:user"]
    left = await ask(up, "users", "deactivate", tokens["user_id"], "--reason", "Left")
    assert left.code == 0, left
    async with asyncio.timeout(30):
        while await status_of_me(up, tokens["access_token"]) != 401:  # noqa: ASYNC110 - another process decides
            await asyncio.sleep(0.05)
    assert (await ask(up, "users", "reactivate", EMAIL)).code == 0
    again = await auth(up, "sign-in", org=ORG, email=EMAIL, code=await code(up))
    assert again["status"] == 200, again

    assert (await ask(up, "users", "erase", EMAIL, "--reason", "Asked for")).code == 0
    assert (await ask(up, "users", "list")).json["users"] == []
    assert (await ask(up, "users", "grant", EMAIL, "testing", "user")).problem == (
        "Missing",
        "user",
    )


async def test_an_invitation_is_checked_and_written(up: Up) -> None:
    words = ("--username", "otto", "--full-name", "Otto", "--grant", "crews:user")
    invited = await ask(up, "users", "invite", "otto@library.example", *words)
    assert invited.json["mailed"]
    taken = await ask(up, "users", "invite", "Otto@library.example", *words)
    assert taken.problem == ("EmailTaken", "$.email")
    unknown = await ask(
        up, "users", "invite", "a@b.example", *words[:-1], "crews:wizard"
    )
    assert unknown.problem == ("Malformed", None)
    assert "wizard" in unknown.json["detail"]


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("nobody@library.example", "Missing"),
        ("not an id", "Malformed"),
        ("01931d5e-0000-7000-8000-00000000000a", "NoSuchUser"),
    ],
)
async def test_who_is_not_there_is_named(up: Up, user: str, problem: str) -> None:
    answer = await ask(up, "users", "reactivate", user)
    assert answer.problem[0] == problem


async def test_a_service_s_token_is_issued_listed_and_revoked(up: Up) -> None:
    issued = await ask(
        up, "service-tokens", "issue", "loader", "--grant", "testing:user"
    )
    assert issued.code == 0, issued
    token, token_id = issued.json["token"], issued.json["token_id"]
    async with asyncio.timeout(10):
        while await status_of_me(up, token) != 200:  # noqa: ASYNC110 - time itself is waited for
            await asyncio.sleep(0.05)
    (row,) = (await ask(up, "service-tokens", "list")).json["service_tokens"]
    assert (row["id"], row["service"], row["grants"]) == (
        token_id,
        "loader",
        ["testing:user"],
    )
    revoked = await ask(
        up, "service-tokens", "revoke", token_id, "--reason", "Replaced"
    )
    assert revoked.code == 0, revoked
    async with asyncio.timeout(10):
        while await status_of_me(up, token) != 401:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.05)
    wrong = await ask(up, "service-tokens", "issue", "a b")
    assert (wrong.code, wrong.json["problem"]) == (1, "Malformed")


async def account(up: Up, *words: object) -> Answer:
    """Ask something of the stack over HTTP, as somebody who has no token yet."""
    port = up.url.rpartition(":")[2]
    where = ("--data-dir", up.data_dir, "--json")
    return await rehearsal(
        "account", *words, *where, environment={"REHEARSAL_HTTP_PORT": port}
    )


async def test_who_cannot_sign_in_is_told_why(up: Up) -> None:
    stranger = ("nobody@library.example", "--org", "no-such")
    asked = await account(up, "code", *stranger)
    assert asked.problem == ("Missing", None)
    wrong = await account(up, "sign-in", *stranger, "--code", "1234 5678")
    assert wrong.problem == ("Unauthenticated", "$.code")
    short = await account(up, "sign-in", *stranger, "--code", "12")
    assert short.problem == ("Malformed", "code")
    assert short.json["detail"] == "A code has eight digits."
    nowhere = await account(up, "code", "nobody")
    assert nowhere.problem == ("Malformed", "email")
    for address, problem in (
        ("http://127.0.0.1:1", "Unavailable"),
        ("no address", "Malformed"),
        (f"{up.url}/nowhere", "Missing"),
    ):
        away = await account(up, "code", *stranger, "--api", address)
        assert away.problem[0] == problem, away
