"""Commands of people, over HTTP: ask for a code, register, sign in."""

from typing import Annotated, Final, TypeVar

import msgspec
from cyclopts import App, Parameter

from events.errors import Malformed
from infra.commands.shared import OK, ORG, Where, answer, run, screen
from infra.mail.outbox import outbox
from infra.operations.signing_in import arrived, letters, posted
from infra.settings import Settings
from services.accounts.sessions import Tokens
from services.http.auth_bodies import AskForCode, CodeAsked, Register, SignIn


T = TypeVar("T")

FORMS: Final = {
    "org": "An organisation is named by letters, digits, dots, dashes and colons.",
    "email": "This is no e-mail address.",
    "code": "A code has eight digits.",
}

account: Final = App(
    name="account", help="Register and sign in, as a person, over HTTP."
)

Org = Annotated[str, Parameter(help="The organisation of the account.")]
Code = Annotated[str, Parameter(help="The code that was sent to the address.")]
Api = Annotated[
    str | None, Parameter(help="Address of the API; this machine's unless given.")
]


@account.command
def code(
    email: str,
    *,
    org: Org = ORG,
    api: Api = None,
    where: Where = Where(),  # noqa: B008 - frozen
) -> int:
    """Ask for a code by mail; print it, where letters stay on this machine."""
    settings = where.settings()

    async def work() -> int:
        asked = checked(AskForCode, org=org, email=email)
        folder = outbox(settings) if api is None else None
        before = frozenset() if folder is None else letters(folder)
        told = await posted(base_of(settings, api), "codes", asked, CodeAsked)
        letter = None if folder is None else await arrived(folder, before, email)

        def show() -> None:
            if letter is None:
                screen.print("If this address may sign in, a code is on its way.")
            else:
                screen.print(f"{letter.file} came", soft_wrap=True, highlight=False)
                print(letter.code)  # noqa: T201 - what was asked for, to be piped

        answer(where, {"expires_in": told.expires_in, "letter": letter}, show)
        return OK

    return run(where, work)


@account.command
def register(
    email: str,
    *,
    code: Code,
    username: Annotated[str, Parameter(help="Unique user name.")],
    full_name: Annotated[str, Parameter(help="Display name.")],
    org: Org = ORG,
    api: Api = None,
    where: Where = Where(),  # noqa: B008 - frozen
) -> int:
    """Make an account for an address, and print an access token of it."""
    asked = {
        "org": org,
        "email": email,
        "code": code,
        "username": username,
        "full_name": full_name,
    }
    return begun("register", Register, asked, api, where)


@account.command
def sign_in(
    email: str,
    *,
    code: Code,
    org: Org = ORG,
    api: Api = None,
    where: Where = Where(),  # noqa: B008 - frozen
) -> int:
    """Sign in, and print an access token."""
    asked = {"org": org, "email": email, "code": code}
    return begun("sign-in", SignIn, asked, api, where)


def begun(
    path: str,
    kind: type[msgspec.Struct],
    fields: dict[str, str],
    api: str | None,
    where: Where,
) -> int:
    """Begin a session, and print its access token, or with --json all of it."""
    settings = where.settings()

    async def work() -> int:
        asked = checked(kind, **fields)
        tokens = await posted(base_of(settings, api), path, asked, Tokens)

        def show() -> None:
            minutes = tokens.expires_in // 60
            screen.print(f"user {tokens.user_id}, for {minutes} minutes")
            print(tokens.access_token)  # noqa: T201 - what was asked for, to be piped

        answer(where, tokens, show)
        return OK

    return run(where, work)


def checked(kind: type[T], **fields: str) -> T:
    """Return what is to be posted, or raise `Malformed`."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$.")
        path = place.rstrip("`")
        raise Malformed(FORMS.get(path, f"{text}."), path=path or None) from error


def base_of(settings: Settings, api: str | None) -> str:
    """Return the address of the API that is asked."""
    return api or f"http://127.0.0.1:{settings.http_port}"
