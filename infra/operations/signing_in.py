"""Signing in over HTTP, by a code that is read in the folder where letters go."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from events.errors import Malformed, Missing, TooMany, Unavailable
from services.accounts.sessions import Tokens
from services.client.answers import failure
from services.http.auth_bodies import AskForCode, CodeAsked, SignIn


T = TypeVar("T")

PATIENCE: Final = 10.0
LETTER_SECONDS: Final = 5.0
INTERVAL: Final = 0.05
INDENT: Final = "    "
NONE: Final[Mapping[str, str]] = MappingProxyType({})

Wait = Callable[[float], Awaitable[None]]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter that a stack wrote into its folder, and the code in it."""

    file: Path
    code: str


async def posted(
    base: str,
    path: str,
    body: msgspec.Struct,
    kind: type[T],
    *,
    headers: Mapping[str, str] = NONE,
) -> T:
    """Post to a route of signing in; return the answer, or raise the failure."""
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=PATIENCE)
            ) as session,
            session.post(
                f"{base.rstrip('/')}/v1/auth/{path}",
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", **headers},
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


async def signed_in(
    base: str, *, org: str, email: str, folder: Path, wait: Wait
) -> Tokens:
    """Sign somebody in by a code; who asked too often does `wait`, and asks again.

    Raises `Missing` where no letter comes, or the address has no account.
    """

    async def once() -> Letter:
        before = letters(folder)
        await posted(base, "codes", AskForCode(org=org, email=email), CodeAsked)
        return await arrived(folder, before, email)

    letter = await _patiently(once, wait)
    proof = SignIn(org=org, email=email, code=letter.code)
    return await _patiently(lambda: posted(base, "sign-in", proof, Tokens), wait)


def letters(folder: Path) -> frozenset[Path]:
    """Return the letters in a folder."""
    return frozenset(folder.glob("*.eml"))


async def arrived(folder: Path, before: frozenset[Path], email: str) -> Letter:
    """Return the letter that comes to an address, or raise `Missing`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LETTER_SECONDS
    known = before
    late = False
    while not late:
        late = loop.time() >= until  # and then is the last look, however slow one was
        came = letters(folder) - known
        for file in sorted(came):
            found = read(file, email)
            if found is not None:
                return found
        known |= came
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


async def _patiently(ask: Callable[[], Awaitable[T]], wait: Wait) -> T:
    while True:
        try:
            return await ask()
        except TooMany as error:
            await wait(error.retry_after)
