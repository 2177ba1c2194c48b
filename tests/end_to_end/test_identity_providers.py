"""Signing in by an identity provider, over HTTP, from the first address to erasure."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from services.access.organisations import organisation_id
from tests.conftest import RUNGS
from tests.end_to_end.people import (
    Answer,
    Person,
    administrator,
    open_to_all,
)
from tests.end_to_end.stack import ORG, OTHER_ORG, PROVIDERS, Stack, open_stack
from tests.identity_provider import (
    BACK,
    CLIENT,
    SECRET,
    Server,
    identity_server,
    known,
    visit,
)
from tests.postgres_ladder import Servers


FILE: Final = """
[[providers]]
name = "acme"
title = "Acme"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "acme.secret"
redirect_uris = ["{back}"]
trusted_by = ["library"]

[[providers]]
name = "guests"
title = "Guests"
issuer = "{issuer}"
client_id = "{client}"
client_secret_file = "acme.secret"
redirect_uris = ["{back}"]
organisations = ["library"]
"""


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with identity_server() as opened:
        yield opened


@pytest.fixture(scope="module")
async def library(
    request: pytest.FixtureRequest,
    servers: Servers,
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stack]:
    """A stack with identity providers, whose organisation is open to all."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "acme.secret").write_text(SECRET)
    (folder / PROVIDERS).write_text(
        FILE.format(issuer=server.issuer, client=CLIENT, back=BACK)
    )
    rung = request.config.stash[RUNGS][0]
    async with (
        servers.database(rung, durable=False, furnished=True) as database,
        open_stack(database, folder) as opened,
    ):
        await open_to_all(opened)
        yield opened


def person(stack: Stack, name: str, org: str = ORG) -> Person:
    return Person(stack=stack, email=f"{name}@library.example", org=org)


async def begun(who: Person, provider: str = "acme") -> dict[str, str]:
    answer = await who.auth(f"oidc/{provider}/start", org=who.org, redirect_uri=BACK)
    assert answer.status == 200, answer.body
    begun: dict[str, str] = answer.json
    return begun


async def returned(who: Person, provider: str = "acme") -> dict[str, str]:
    """Go to the provider and come back."""
    start = await begun(who, provider)
    return {**await visit(start["authorization_url"]), "binding": start["binding"]}


async def came(
    who: Person, server: Server, claims: dict[str, Any], provider: str = "acme"
) -> Answer:
    """Sign in as somebody whom the provider knows."""
    server.person = claims
    return await who.auth(f"oidc/{provider}/finish", **await returned(who, provider))


def is_problem(answer: Answer, status: int, code: str, path: str | None = None) -> bool:
    assert answer.status == status, answer.body
    assert answer.json["code"] == code, answer.body
    assert answer.json.get("path") == path, answer.body
    return True


async def test_each_organisation_has_its_providers(library: Stack) -> None:
    asker = person(library, "asker")
    answer = await asker.ask("GET", f"/v1/auth/oidc?org={ORG}")
    assert answer.json["providers"] == [
        {"name": "acme", "title": "Acme"},
        {"name": "guests", "title": "Guests"},
    ]
    answer = await asker.ask("GET", f"/v1/auth/oidc?org={OTHER_ORG}")
    assert [each["name"] for each in answer.json["providers"]] == ["acme"]
    assert is_problem(
        await asker.ask("GET", "/v1/auth/oidc"), 400, "malformed", "query.org"
    )
    for org, provider in ((OTHER_ORG, "guests"), (ORG, "nobody"), (ORG, "%00")):
        answer = await asker.auth(f"oidc/{provider}/start", org=org, redirect_uri=BACK)
        assert answer.status in {400, 404}


async def test_somebody_new_gets_an_account_and_has_it_again(
    library: Stack, server: Server
) -> None:
    mila = person(library, "mila")
    assert (await came(mila, server, known("mila"))).status == 200
    me = (await mila.ask("GET", "/v1/auth/me")).json
    assert me["roles"] == ["testing:viewer"]
    await library.caught_up()
    (row,) = (await mila.ask("GET", "/v1/access/users")).json["rows"]
    assert (row["username"], row["full_name"]) == ("mila", "mila of Acme")
    assert row["is_verified"]
    first = mila.id
    moved = known("mila", email="mila@elsewhere.example", preferred_username="other")
    assert (await came(mila, server, moved)).status == 200
    assert mila.id == first
    assert (await mila.auth("refresh", **refresh(mila))).status == 200
    sessions = (await mila.ask("GET", "/v1/auth/sessions")).json["sessions"]
    assert [each["method"] for each in sessions] == ["oidc", "oidc"]


async def test_an_account_is_linked_by_an_address_that_the_provider_verified(
    library: Stack, server: Server
) -> None:
    ines = person(library, "ines")
    assert (await ines.register()).status == 201
    first = ines.id
    assert (await came(ines, server, known("ines"))).status == 200
    assert ines.id == first
    # The address went to somebody else, whom the provider knows as such.
    heir = person(library, "ines")
    answer = await came(heir, server, known("ines", sub="the heir of ines"))
    assert is_problem(answer, 422, "another-identity")


async def test_who_was_invited_comes_by_the_provider(
    library: Stack, server: Server
) -> None:
    admin = administrator(library)
    body = {
        "email": "otto@library.example",
        "username": "otto",
        "full_name": "Otto",
        "grants": [{"area": "testing", "role": "user"}],
    }
    invited = await admin.ask("POST", "/v1/auth/invitations", body)
    otto = person(library, "otto")
    assert (await came(otto, server, known("otto"))).status == 200
    assert str(otto.id) == invited.json["user_id"]
    assert (await otto.ask("GET", "/v1/auth/me")).json["roles"] == ["testing:user"]


@pytest.mark.parametrize("said", [False, "true", None])
async def test_an_address_that_is_not_verified_opens_no_account(
    library: Stack, server: Server, said: object
) -> None:
    vera = person(library, f"vera.{said}".lower())
    assert (await vera.register()).status == 201
    claims = known(vera.username, email_verified=said, sub=f"not verified {said}")
    stranger = person(library, vera.username)
    assert is_problem(await came(stranger, server, claims), 403, "not-linked")
    assert not stranger.tokens


async def test_a_provider_that_is_not_trusted_opens_an_account_that_linked_it(
    library: Stack, server: Server
) -> None:
    olga = person(library, "olga")
    assert (await olga.register()).status == 201
    stranger = person(library, "olga")
    answer = await came(stranger, server, known("olga"), "guests")
    assert is_problem(answer, 403, "not-linked")
    answer = await olga.ask(
        "POST", "/v1/auth/oidc/guests/link", await returned(olga, "guests")
    )
    assert answer.status == 204, answer.body
    assert (await came(stranger, server, known("olga"), "guests")).status == 200
    assert stranger.id == olga.id

    other = person(library, "other.olga")
    assert (await other.register()).status == 201
    answer = await other.ask(
        "POST", "/v1/auth/oidc/guests/link", await returned(other, "guests")
    )
    assert is_problem(answer, 422, "identity-taken", "$")
    for _ in range(2):
        answer = await olga.ask("DELETE", "/v1/auth/oidc/guests")
        assert answer.status == 204
    answer = await came(person(library, "olga"), server, known("olga"), "guests")
    assert is_problem(answer, 403, "not-linked")


async def test_an_organisation_that_invites_has_nobody_register(
    library: Stack, server: Server
) -> None:
    admin = administrator(library)
    answers = []
    for registration in ("invited", "open"):
        changed = await admin.command(
            "access.ChangeOrganisation",
            organisation_id=str(organisation_id(ORG)),
            registration=registration,
        )
        assert changed.status == 200
        answers.append(await came(person(library, "nora"), server, known("nora")))
    assert is_problem(answers[0], 403, "not-open")
    assert answers[1].status == 200


async def test_a_user_name_that_is_taken_gets_digits(
    library: Stack, server: Server
) -> None:
    assert (await person(library, "paul").register()).status == 201
    paul = person(library, "paul.the.second")
    claims = known("paul.the.second", preferred_username="Paul")
    assert (await came(paul, server, claims)).status == 200
    await library.caught_up()
    (row,) = (await paul.ask("GET", "/v1/access/users")).json["rows"]
    assert row["username"].startswith("paul-")


async def test_two_who_arrive_at_once_are_one(library: Stack, server: Server) -> None:
    server.person = known("zoe")
    both = [person(library, "zoe"), person(library, "zoe")]
    back = [await returned(who) for who in both]
    answers = await asyncio.gather(
        *(
            who.auth("oidc/acme/finish", **given)
            for who, given in zip(both, back, strict=True)
        )
    )
    assert [answer.status for answer in answers] == [200, 200]
    assert both[0].id == both[1].id


async def test_a_sign_in_is_gone_on_with_where_it_began_and_once(
    library: Stack, server: Server
) -> None:
    server.person = known("mallory")
    victim, mallory = person(library, "rosa"), person(library, "mallory")
    asked, made = await begun(victim), await returned(mallory)
    for given in (
        {**made, "binding": asked["binding"]},
        {**made, "state": "x" * 43},
        {**made, "state": "\u00e9"},
        {**made, "binding": "x"},
    ):
        answer = await victim.auth("oidc/acme/finish", **given)
        assert is_problem(answer, 401, "not-begun-here")
    wrong_provider = await victim.auth("oidc/guests/finish", **await returned(mallory))
    assert is_problem(wrong_provider, 401, "not-begun-here")
    assert not victim.tokens
    assert (await mallory.auth("oidc/acme/finish", **made)).status == 200
    again = await mallory.auth("oidc/acme/finish", **made)
    assert is_problem(again, 401, "not-begun-here")


async def test_a_code_of_another_sign_in_is_of_no_use(
    library: Stack, server: Server
) -> None:
    server.person = known("stolen")
    stolen = await returned(person(library, "stolen"))
    thief = person(library, "thief")
    own = await returned(thief)
    answer = await thief.auth("oidc/acme/finish", **{**own, "code": stolen["code"]})
    assert is_problem(answer, 401, "unproved")
    answer = await thief.auth(
        "oidc/acme/finish", **await returned(thief), iss="https://other.example"
    )
    assert is_problem(answer, 401, "unproved")


async def test_a_sign_in_for_one_organisation_links_nothing_in_another(
    library: Stack, server: Server
) -> None:
    server.person = known("rita")
    rita = person(library, "rita")
    assert (await rita.register()).status == 201
    elsewhere = await returned(person(library, "rita", OTHER_ORG))
    answer = await rita.ask("POST", "/v1/auth/oidc/acme/link", elsewhere)
    assert is_problem(answer, 401, "not-begun-here")
    stranger = Person(stack=library, email="x@library.example")
    answer = await stranger.ask("POST", "/v1/auth/oidc/acme/link", elsewhere)
    assert answer.status == 401


async def test_people_are_sent_back_to_known_addresses_only(library: Stack) -> None:
    who = person(library, "sent")
    for address in (
        "https://evil.example/",
        f"{BACK}/more",
        f"{BACK}?x=1",
        BACK.upper(),
        "javascript:alert(1)",
    ):
        answer = await who.auth("oidc/acme/start", org=ORG, redirect_uri=address)
        assert is_problem(answer, 422, "not-allowed-there", "$.redirect_uri")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("start", b"{}", 400),
        ("start", b'{"org":"library","redirect_uri":"a\\u0000b"}', 400),
        ("finish", b"[" * 10_000, 400),
        ("finish", b'{"state":"a","code":"\\ud800","binding":"c"}', 400),
        ("finish", b'{"state":"a","code":"b","binding":"c","org":"library"}', 400),
        ("finish", b'{"state":1e30,"code":"b","binding":"c"}', 400),
        ("finish", b'{"state":"a","code":"b","binding":"c"}', 401),
        ("link", b'{"state":"a","code":"b","binding":"c"}', 401),
    ],
)
async def test_what_makes_no_sense_is_a_problem(
    library: Stack, path: str, body: bytes, status: int
) -> None:
    answer = await person(library, "nobody").ask(
        "POST", f"/v1/auth/oidc/acme/{path}", body
    )
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_who_is_deactivated_or_erased_does_not_come_back(
    library: Stack, server: Server
) -> None:
    kira = person(library, "kira")
    assert (await came(kira, server, known("kira"))).status == 200
    first = kira.id
    admin = administrator(library)
    given = {"user_id": str(first), "reason": "Left"}
    assert (await admin.command("access.DeactivateUser", **given)).status == 200
    answer = await came(person(library, "kira"), server, known("kira"))
    assert is_problem(answer, 422, "deactivated")
    assert (await admin.command("access.EraseUser", **given)).status == 200
    again = person(library, "kira")
    assert (await came(again, server, known("kira"))).status == 200
    assert again.id != first


async def test_the_log_tells_nothing_of_who_the_provider_knows(
    library: Stack, server: Server
) -> None:
    lena = person(library, "lena")
    assert (await came(lena, server, known("lena"))).status == 200
    await library.caught_up()
    for table in ("es.events", "es.commands", "sign_in.handshakes", "audit.audit_log"):
        rows = await library.as_superuser(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608 - a name of ours
        kept = "\n".join(row["row"] for row in rows)
        assert "lena" not in kept
    acts = (
        await administrator(library).ask(
            "GET", f"/v1/audit/audit_log?resource_id={lena.id}"
        )
    ).json["rows"]
    (came_first,) = (act for act in acts if act["action"] == "access.UserRegistered")
    assert came_first["new_values"]["provider=acme"] == {
        "linked": True,
        "identity_key": "[secret]",
    }


def refresh(who: Person) -> dict[str, str]:
    return {"refresh_token": who.tokens["refresh_token"]}
