"""Commands of people, over HTTP: ask for a code, register, sign in."""

import asyncio
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import aiohttp
import msgspec
from cyclopts import App, Parameter

from events.errors import Malformed, Missing, Unavailable
from infra.commands.shared import OK, ORG, Where, answer, run, screen
from infra.settings import Settings
from infra.wiring import OUTBOX
from services.accounts.sessions import Tokens
from services.client.answers import failure
from services.http.auth_bodies import AskForCode, CodeAsked, Register, SignIn


T = TypeVar("T")

PATIENCE: Final = 10.0
LETTER_SECONDS: Final = 5.0
INTERVAL: Final = 0.05
INDENT: Final = "    "
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


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that a stack wrote into its folder, and the code in it."""

    file: Path
    code: str


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
        folder = outbox(settings, api)
        before = letters(folder)
        told = await posted(settings, api, "codes", asked, CodeAsked)
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
        tokens = await posted(settings, api, path, asked, Tokens)

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


async def posted(
    settings: Settings,
    api: str | None,
    path: str,
    body: msgspec.Struct,
    kind: type[T],
) -> T:
    """Post to a route of signing in; return the answer, or raise the failure."""
    base = api or f"http://127.0.0.1:{settings.http_port}"
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE)
            ) as session,
            session.post(
                f"{base.rstrip('/')}/v1/auth/{path}",
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
            ) as response,
        ):
            content = await response.read()
            if response.status < 300:  # noqa: PLR2004 - HTTP
                return msgspec.json.decode(content, type=kind)
            wait = float(response.headers.get("Retry-After", "1"))
            raise failure(response.status, content, retry_after=wait)
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise Malformed("This is no address of an API.", path="api") from error
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
        message = f"No API answers at {base}: is `rehearsal up` running?"
        raise Unavailable(message) from error


def outbox(settings: Settings, api: str | None) -> Path | None:
    """Return the folder of letters, if the API that is asked writes into one here."""
    if api is not None or settings.mail_server is not None or not settings.embedded:
        return None
    return settings.data_dir / OUTBOX


def letters(folder: Path | None) -> frozenset[Path]:
    """Return the letters in a folder."""
    return frozenset() if folder is None else frozenset(folder.glob("*.eml"))


async def arrived(folder: Path, before: frozenset[Path], email: str) -> Letter:
    """Return the letter that comes to an address, or raise `Missing`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LETTER_SECONDS
    while loop.time() < until:
        for file in sorted(letters(folder) - before):
            found = read(file, email)
            if found is not None:
                return found
        await asyncio.sleep(INTERVAL)
    raise Missing(
        "No letter came: this address has no account, and the organisation is not open."
    )


def read(file: Path, email: str) -> Letter | None:
    """Return the letter of a file, if it brings a code to an address."""
    message: Any = message_from_bytes(file.read_bytes(), policy=default)
    if message["To"] != email:
        return None
    lines = message.get_content().splitlines()
    found = [line.strip() for line in lines if line.startswith(INDENT)]
    return Letter(file=file, code=found[0]) if found else None
