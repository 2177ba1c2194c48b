"""From a letter with a code to a command under a role that was granted."""

import asyncio
from typing import Final

import pytest
from structlog.testing import capture_logs

from events.access.users import UserSignedIn
from infra.clock import new_id
from services import log_context
from services.accounts.secrets import Secrets
from tests.end_to_end.people import (
    PASSWORD,
    Answer,
    Person,
    administrator,
    code_in,
    letters_to,
    open_to_all,
    post,
)
from tests.end_to_end.stack import ORG, OTHER_ORG, Stack


EMAIL: Final = "/v1/auth/email"
WRONG: Final = "nineteen quiet herons"


@pytest.fixture(scope="module")
async def library(stack: Stack) -> Stack:
    """A stack whose organisation is open to all."""
    await open_to_all(stack)
    return stack


def person(stack: Stack, name: str, org: str = ORG) -> Person:
    return Person(stack=stack, email=f"{name}@library.example", org=org)


async def registered(stack: Stack, name: str) -> Person:
    found = person(stack, name)
    assert (await found.register()).status == 201
    return found


def is_problem(answer: Answer, status: int, code: str, path: str | None = None) -> bool:
    assert answer.status == status, answer.body
    assert answer.json["code"] == code, answer.body
    assert answer.json.get("path") == path, answer.body
    return True


async def test_from_registration_to_a_command_under_a_granted_role(
    library: Stack,
) -> None:
    mila = await registered(library, "mila")
    create = {
        "persona_id": str(new_id()),
        "name": "Ada",
        "role": "customer",
        "background": "Has lost a book",
    }
    refused = await mila.command("testing.CreatePersona", **create)
    assert is_problem(refused, 403, "forbidden")

    admin = administrator(library)
    granted = await admin.command(
        "access.GrantRole", user_id=str(mila.id), area="testing", role="user"
    )
    assert granted.status == 200
    assert (await mila.auth("refresh", **refresh(mila))).status == 200
    assert (await mila.ask("GET", "/v1/auth/me")).json["roles"] == [
        "testing:user",
        "testing:viewer",
    ]
    made = await mila.command("testing.CreatePersona", **create)
    assert made.status == 200

    left = await admin.command(
        "access.DeactivateUser", user_id=str(mila.id), reason="Left"
    )
    assert left.status == 200
    assert is_problem(await mila.auth("refresh", **refresh(mila)), 401, "ended")
    assert is_problem(await mila.sign_in(), 422, "deactivated")
    assert (
        await admin.command("access.ReactivateUser", user_id=str(mila.id))
    ).status == 200
    assert (await mila.sign_in()).status == 200


async def test_who_signed_in_sees_their_account_and_no_other(library: Stack) -> None:
    ines, otto = await registered(library, "ines"), await registered(library, "otto")
    await library.caught_up()
    rows = (await ines.ask("GET", "/v1/access/users")).json["rows"]
    assert [row["email"] for row in rows] == [ines.email]
    assert "bcrypt" in rows[0].values()
    assert rows[0]["is_verified"]
    assert rows[0]["last_login"]
    grants = (await ines.ask("GET", "/v1/access/grants")).json["rows"]
    assert [(row["area"], row["role"]) for row in grants] == [("testing", "viewer")]

    assert (
        await otto.command(
            "access.ChangeProfile", user_id=str(otto.id), bio="", profile_public=True
        )
    ).status == 200
    await library.caught_up()
    rows = (await ines.ask("GET", f"/v1/access/users/{otto.id}")).json
    assert rows["username"] == "otto"
    assert (rows["email"], rows["is_verified"], rows["last_login"]) == (None,) * 3


async def test_nobody_changes_the_profile_of_another(library: Stack) -> None:
    nina, nils = await registered(library, "nina"), await registered(library, "nils")
    answer = await nina.command(
        "access.ChangeProfile", user_id=str(nils.id), full_name="Somebody"
    )
    assert is_problem(answer, 403, "forbidden")
    for role in ("access", "testing"):
        answer = await nina.command(
            "access.GrantRole", user_id=str(nina.id), area=role, role="admin"
        )
        assert is_problem(answer, 403, "forbidden")


async def test_an_address_and_a_user_name_have_one_account_each(
    library: Stack,
) -> None:
    await registered(library, "olga")
    again = Person(stack=library, email="OLGA@Library.example")
    assert is_problem(
        await again.register(username="other"), 422, "email-taken", "$.email"
    )
    other = person(library, "other")
    code = await other.code()
    answer = await other.register(code=code, username="Olga")
    assert is_problem(answer, 422, "username-taken", "$.username")
    assert "user:" not in answer.json["detail"]
    assert (await other.register(code=code)).status == 201
    answer = await other.register(code=code, username="third")
    assert is_problem(answer, 401, "wrong-code", "$.code")


async def test_two_who_register_one_address_at_once_get_one_account(
    library: Stack,
) -> None:
    twin = person(library, "twin")
    code = await twin.code()
    answers = await asyncio.gather(
        *(twin.register(code=code, username=f"twin{i}") for i in range(4))
    )
    assert [answer.status for answer in answers].count(201) == 1
    assert {answer.status for answer in answers} <= {201, 401, 422}


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(
    library: Stack,
) -> None:
    hugo = await registered(library, "hugo")
    wrong = await hugo.sign_in(password=WRONG)
    unknown = await person(library, "nobody").sign_in(password=WRONG)
    for answer in (wrong, unknown):
        assert is_problem(answer, 401, "wrong-credentials")
    assert wrong.json["detail"] == unknown.json["detail"]
    assert (await hugo.sign_in()).status == 200


async def test_who_fails_to_sign_in_is_in_the_logs_with_their_address(
    library: Stack,
) -> None:
    ulrike = await registered(library, "ulrike")
    with capture_logs(processors=[log_context.merge]) as lines:
        await ulrike.sign_in(password=WRONG)
        await ulrike.sign_in(code="12345678")
        await ulrike.auth("refresh", refresh_token="rhr_none")  # noqa: S106 - it is none
    failed = [
        (line["event"], line.get("org_id"), line["ip"])
        for line in lines
        if line["event"] in {"sign_in_failed", "code_refused"}
    ]
    assert failed == [
        ("sign_in_failed", ORG, ulrike.ip),
        ("code_refused", ORG, ulrike.ip),
    ]
    handled = [line for line in lines if line["event"] == "request_handled"]
    assert [(line["status"], line["problem"], line["ip"]) for line in handled] == [
        (401, "wrong-credentials", ulrike.ip),
        (401, "wrong-code", ulrike.ip),
        (401, "unauthenticated", ulrike.ip),
    ]
    assert ulrike.email not in str(lines)
    assert WRONG not in str(lines)


async def test_an_account_is_good_in_its_own_organisation_only(
    library: Stack,
) -> None:
    ivo = await registered(library, "ivo")
    elsewhere = person(library, "ivo", OTHER_ORG)
    assert is_problem(await elsewhere.sign_in(), 401, "wrong-credentials")
    refused = await administrator(library, OTHER_ORG).command(
        "access.DeactivateUser", user_id=str(ivo.id), reason="Not yours"
    )
    assert is_problem(refused, 404, "missing")


async def test_nobody_is_written_to_where_one_has_to_be_invited(
    library: Stack,
) -> None:
    stranger = person(library, "stranger", OTHER_ORG)
    known = person(library, "mona")
    answer = await stranger.auth("codes", org=OTHER_ORG, email=stranger.email)
    like = await known.auth("codes", org=ORG, email=known.email)
    assert (answer.status, answer.body) == (like.status, like.body)
    await known.code()
    assert letters_to(library, stranger.email) == []


async def test_who_was_invited_signs_in_by_code_and_then_by_password(
    library: Stack,
) -> None:
    admin = administrator(library, OTHER_ORG)
    guest = person(library, "guest", OTHER_ORG)
    key = str(new_id())
    invited = [
        await admin.ask(
            "POST",
            "/v1/auth/invitations",
            {
                "email": guest.email,
                "username": "guest",
                "full_name": "A guest",
                "grants": [{"area": "playgrounds", "role": "tester"}],
            },
            Idempotency_Key=key,
        )
        for _ in range(2)
    ]
    assert [answer.status for answer in invited] == [201, 201]
    assert [answer.json["mailed"] for answer in invited] == [True, False]
    assert len(letters_to(library, guest.email)) == 1
    assert (await guest.sign_in(code=await guest.code())).status == 200
    me = (await guest.ask("GET", "/v1/auth/me")).json
    assert (me["actor"], me["roles"]) == (f"user:{key}", ["playgrounds:tester"])
    set_ = await guest.ask(
        "PUT",
        "/v1/auth/password",
        {"password": PASSWORD, "code": await guest.code()},
    )
    assert set_.status == 204
    assert (await guest.sign_in()).status == 200


async def test_a_code_is_good_once(library: Stack) -> None:
    paul = await registered(library, "paul")
    code = await paul.code()
    assert (await paul.sign_in(code=code)).status == 200
    assert is_problem(await paul.sign_in(code=code), 401, "wrong-code", "$.code")


async def test_a_code_bears_few_wrong_guesses(library: Stack) -> None:
    rita = person(library, "rita")
    code = await rita.code()
    wrong = f"{(int(code) + 1) % 10**8:08}"
    store = Person(stack=library, email=rita.email)
    for _ in range(5):
        answer = await store.register(code=wrong, username="thief")
        assert is_problem(answer, 401, "wrong-code", "$.code")
    late = await store.register(code=code)
    assert is_problem(late, 429, "too-many")
    assert int(late.headers["Retry-After"]) >= 1
    rows = await library.as_superuser(
        "SELECT min(guesses_left) AS left FROM sign_in.codes"
    )
    assert rows[0]["left"] == 0


async def test_a_refresh_token_that_comes_again_ends_the_session(
    library: Stack,
) -> None:
    vera = await registered(library, "vera")
    first = refresh(vera)
    second = refresh_of(await vera.auth("refresh", **first))
    assert refresh_of(await vera.auth("refresh", **first)) == second, "an answer lost"
    third = refresh_of(await vera.auth("refresh", **second))
    assert is_problem(await vera.auth("refresh", **first), 401, "reused")
    assert is_problem(await vera.auth("refresh", **third), 401, "ended")
    assert is_problem(await vera.ask("GET", "/v1/auth/me"), 401, "unauthenticated")
    assert (await vera.sign_in()).status == 200


async def test_one_refresh_of_many_at_once_makes_one_generation(
    library: Stack,
) -> None:
    wim = await registered(library, "wim")
    first = refresh(wim)
    answers = await asyncio.gather(
        *(
            Person(stack=library, email=wim.email, ip=wim.ip).auth("refresh", **first)
            for _ in range(6)
        )
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1


async def test_who_signs_out_is_out(library: Stack) -> None:
    xenia = await registered(library, "xenia")
    assert (await xenia.ask("POST", "/v1/auth/sign-out")).status == 204
    assert is_problem(await xenia.ask("GET", "/v1/auth/me"), 401, "unauthenticated")
    assert is_problem(await xenia.auth("refresh", **refresh(xenia)), 401, "ended")


async def test_a_new_password_ends_the_other_sessions(library: Stack) -> None:
    yara = await registered(library, "yara")
    elsewhere = Person(stack=library, email=yara.email)
    assert (await elsewhere.sign_in()).status == 200
    listed = (await yara.ask("GET", "/v1/auth/sessions")).json["sessions"]
    assert [each["current"] for each in listed] == [False, True]
    changed = await yara.ask(
        "PUT",
        "/v1/auth/password",
        {"password": "eleven louder herons", "current": PASSWORD},
    )
    assert changed.status == 204
    assert is_problem(
        await elsewhere.auth("refresh", **refresh(elsewhere)), 401, "ended"
    )
    assert (await yara.auth("refresh", **refresh(yara))).status == 200
    assert is_problem(await elsewhere.sign_in(), 401, "wrong-credentials")


async def test_an_address_changes_by_a_code_and_a_proof_and_the_old_one_is_told(
    library: Stack,
) -> None:
    hanna = await registered(library, "hanna")
    new = "Hanna@Elsewhere.example"
    given = {"email": new, "code": await moving(hanna, new)}
    wrong = await hanna.ask("PUT", EMAIL, {**given, "password": WRONG})
    assert is_problem(wrong, 401, "wrong-credentials", "$.password")
    wrong = await hanna.ask("PUT", EMAIL, given)
    assert is_problem(wrong, 400, "malformed", "$")
    told = len(letters_to(library, hanna.email))
    changed = await hanna.ask("PUT", EMAIL, {**given, "password": PASSWORD})
    assert changed.status == 200, changed.body
    (letter,) = (await post(library, hanna.email, more_than=told))[told:]
    assert "another address" in letter
    assert "elsewhere" not in letter.lower()

    assert is_problem(await hanna.sign_in(), 401, "wrong-credentials")
    moved = Person(stack=library, email=new.lower())
    assert (await moved.sign_in()).status == 200
    assert moved.id == hanna.id
    await library.caught_up()
    row = (await moved.ask("GET", f"/v1/access/users/{moved.id}")).json
    assert (row["email"], row["is_verified"]) == (new, True)
    heir = person(library, "hanna")
    assert (await heir.register(username="hanna.the.second")).status == 201


async def test_who_has_no_password_proves_the_account_by_the_old_address(
    library: Stack,
) -> None:
    greta = person(library, "greta")
    assert (await greta.register(password=None)).status == 201
    new = "greta@elsewhere.example"
    given = {"email": new, "code": await moving(greta, new)}
    wrong = await greta.ask("PUT", EMAIL, {**given, "current_code": "12345678"})
    assert is_problem(wrong, 401, "wrong-code", "$.current_code")
    given["current_code"] = await greta.code()
    assert (await greta.ask("PUT", EMAIL, given)).status == 200
    assert await Person(stack=library, email=new).auth("codes", org=ORG, email=new)
    again = await greta.ask("PUT", EMAIL, given)
    assert is_problem(again, 401, "wrong-code", "$.code")


async def test_an_address_that_has_an_account_gets_no_code_and_is_not_told(
    library: Stack,
) -> None:
    fred, frida = await registered(library, "fred"), await registered(library, "frida")
    before = letters_to(library, frida.email)
    answer = await fred.ask("POST", EMAIL, {"email": "FRIDA@library.example"})
    assert answer.status == 202
    code = await moving(fred, "fred@elsewhere.example")  # letters are sent in order
    assert letters_to(library, frida.email) == before
    stolen = {"email": frida.email, "code": code, "password": PASSWORD}
    answer = await fred.ask("PUT", EMAIL, stolen)
    assert is_problem(answer, 401, "wrong-code", "$.code")
    stolen["code"] = await frida.code()
    answer = await fred.ask("PUT", EMAIL, stolen)
    assert is_problem(answer, 422, "email-taken", "$.email")


async def test_a_user_name_changes_unless_it_is_taken(library: Stack) -> None:
    elsa, emil = await registered(library, "elsa"), await registered(library, "emil")
    answer = await elsa.ask("PUT", "/v1/auth/username", {"username": "EMIL"})
    assert is_problem(answer, 422, "username-taken", "$.username")
    assert str(emil.id) not in str(answer.json)
    for name in ("elsa.b", "elsa.b"):
        answer = await elsa.ask("PUT", "/v1/auth/username", {"username": name})
        assert answer.status == 200, answer.body
    answer = await emil.ask("PUT", "/v1/auth/username", {"username": "elsa"})
    assert answer.status == 200, answer.body
    await library.caught_up()
    row = (await elsa.ask("GET", f"/v1/access/users/{elsa.id}")).json
    assert row["username"] == "elsa.b"
    acts = (
        await administrator(library).ask(
            "GET", f"/v1/audit/audit_log?resource_id={elsa.id}"
        )
    ).json["rows"]
    (act,) = (row for row in acts if row["action"] == "access.UsernameChanged")
    assert act["new_values"] == {"username": "[sealed]"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "email", {"email": "no address"}),
        ("PUT", "email", {"email": "a@b.example", "code": "1", "password": "x"}),
        ("PUT", "username", {"username": "a b"}),
        ("PUT", "username", {"username": "abc", "user_id": "x"}),
    ],
)
async def test_a_change_that_makes_no_sense_is_a_problem(
    library: Stack, method: str, path: str, body: dict[str, str]
) -> None:
    nobody = person(library, "nobody.here")
    assert (await nobody.ask(method, f"/v1/auth/{path}", body)).status == 401
    admin = administrator(library)
    answer = await admin.ask(method, f"/v1/auth/{path}", body)
    assert is_problem(answer, 403, "forbidden")
    token = library.token(subject=f"user:{new_id()}")
    answer = await nobody.ask(method, f"/v1/auth/{path}", body, token=token)
    assert answer.status == 400


async def moving(who: Person, email: str) -> str:
    """Ask for a code to an address that is to be one's own, and read it there."""
    before = len(letters_to(who.stack, email))
    answer = await who.ask("POST", EMAIL, {"email": email})
    assert answer.status == 202, answer.body
    return code_in((await post(who.stack, email, more_than=before))[-1])


async def test_nobody_ends_the_session_of_another(library: Stack) -> None:
    zoe, zora = await registered(library, "zoe"), await registered(library, "zora")
    path = f"/v1/auth/sessions/{zora.tokens['session_id']}"
    assert is_problem(await zoe.ask("DELETE", path), 404, "missing")
    assert (await zora.ask("DELETE", path)).status == 204
    assert is_problem(await zora.auth("refresh", **refresh(zora)), 401, "ended")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "at least 8"),
        ("password123", "common"),
        ("aaaaaaaaaaaa", "Repeats"),
        ("qwertyuiop", "common"),
        ("anna@library.example", "guess"),
    ],
)
async def test_a_password_that_is_easily_guessed_is_refused(
    library: Stack, password: str, said: str
) -> None:
    anna = Person(stack=library, email="anna@library.example")
    answer = await anna.register(code="12345678", password=password)
    assert is_problem(answer, 422, "weak-password", "$.password")
    assert said in answer.json["detail"]


async def test_who_asks_too_often_waits(library: Stack) -> None:
    hasty = person(library, "hasty")
    answers = [await hasty.auth("codes", org=ORG, email=hasty.email) for _ in range(4)]
    assert [answer.status for answer in answers] == [202, 202, 202, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 600
    busy = person(library, "busy")
    statuses = [
        (
            await busy.auth(
                "sign-in", org=ORG, email=f"a{i}@b.example", code="12345678"
            )
        ).status
        for i in range(21)
    ]
    assert statuses == [401] * 20 + [429]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("codes", b"{}", 400),
        ("codes", b"[" * 10_000, 400),
        ("codes", b"[" * 100_000, 413),
        ("codes", b'{"org":"library","email":"a\\u0000b@c.example"}', 400),
        ("codes", b'{"org":"library","email":"a\\ud800b@c.example"}', 400),
        (
            "codes",
            b'{"org":"library","email":"a@b.example\\r\\nBcc: c@d.example"}',
            400,
        ),
        ("codes", b'{"org":"library","email":"a@b.example\\n"}', 400),
        ("codes", b'{"org":"library\\n","email":"a@b.example"}', 400),
        ("codes", b'{"org":"library","email":"a@b.example","more":1}', 400),
        ("sign-in", b'{"org":"library","email":"a@b.example"}', 400),
        ("sign-in", b'{"org":"","email":"a@b.example","password":"x"}', 400),
        ("refresh", b'{"refresh_token":"rhr_"}', 401),
        ("refresh", b'{"refresh_token":"\\u00e9\\u00e9"}', 401),
        ("refresh", b'{"refresh_token":"' + b"x" * 20_000 + b'"}', 413),
    ],
)
async def test_what_makes_no_sense_is_a_problem(
    library: Stack, path: str, body: bytes, status: int
) -> None:
    answer = await person(library, "mallory").ask("POST", f"/v1/auth/{path}", body)
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_a_refresh_token_cannot_be_made_up(library: Stack) -> None:
    yuri = await registered(library, "yuri")
    forged = Secrets(b"another secret").refresh_token(new_id(), 1)
    answer = await yuri.auth("refresh", refresh_token=forged)
    assert is_problem(answer, 401, "unauthenticated")
    token = yuri.tokens["refresh_token"]
    changed = token[:10] + ("A" if token[10] != "A" else "B") + token[11:]
    answer = await yuri.auth("refresh", refresh_token=changed)
    assert is_problem(answer, 401, "unauthenticated")


async def test_an_erased_user_is_gone_and_their_address_is_free(
    library: Stack,
) -> None:
    kira = await registered(library, "kira")
    answer = await kira.command(
        "access.EraseUser", user_id=str(kira.id), reason="Asked for"
    )
    assert answer.status == 200
    assert is_problem(await kira.auth("refresh", **refresh(kira)), 401, "ended")
    await library.caught_up()
    admin = administrator(library)
    row = (await admin.ask("GET", f"/v1/access/users/{kira.id}")).json
    assert row["is_erased"]
    assert "kira" not in str(row)
    again = person(library, "kira")
    assert (await again.register()).status == 201
    assert again.id != kira.id


async def test_no_secret_of_anybody_is_in_the_log(library: Stack) -> None:
    lena = await registered(library, "lena")
    code = await lena.code()
    assert (await lena.sign_in(code=code)).status == 200
    signed_in = [
        each.event
        for each in await library.events()
        if isinstance(each.event, UserSignedIn) and each.event.user_id == lena.id
    ]
    assert [event.method for event in signed_in] == ["code", "code"]
    for table in ("es.events", "es.commands", "es.streams"):
        rows = await library.as_superuser(f"SELECT t::text AS row FROM {table} AS t")  # noqa: S608 - a name of ours
        kept = "\n".join(row["row"] for row in rows)
        for secret in (
            "lena",
            PASSWORD,
            code,
            lena.tokens["refresh_token"],
            lena.tokens["access_token"],
            "$2b$",
        ):
            assert secret not in kept


def refresh(who: Person) -> dict[str, str]:
    return {"refresh_token": who.tokens["refresh_token"]}


def refresh_of(answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer.body
    return {"refresh_token": answer.json["refresh_token"]}
