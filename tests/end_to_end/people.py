"""People who use a stack over HTTP: their address, their post, their tokens."""

import asyncio
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
import msgspec

from infra.clock import new_id
from infra.mail.outbox import OUTBOX
from services.access.organisations import organisation_id
from tests.end_to_end.stack import ORG, Stack


PASSWORD: Final = "seventeen quiet herons"  # noqa: S105 - of nobody
_hosts: Final = count(1)


@dataclass(kw_only=True)
class Answer:
    """A response that was read."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return msgspec.json.decode(self.body)


@dataclass(kw_only=True)
class Person:
    """Somebody with an address, at a network address of their own."""

    stack: Stack
    email: str
    org: str = ORG
    ip: str = field(default_factory=lambda: f"198.51.{next(_hosts)}.7")
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def username(self) -> str:
        return self.email.partition("@")[0]

    @property
    def id(self) -> UUID:
        return UUID(self.tokens["user_id"])

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Answer:
        """Ask with the own access token, if there is one."""
        bearer = token or self.tokens.get("access_token")
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given["X-Forwarded-For"] = self.ip
        if bearer:
            given["Authorization"] = f"Bearer {bearer}"
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else msgspec.json.encode(body)
            given["Content-Type"] = "application/json"
        async with (
            aiohttp.ClientSession() as http,
            http.request(
                method, self.stack.url + path, data=data, headers=given
            ) as response,
        ):
            return Answer(
                status=response.status,
                headers=response.headers,
                body=await response.read(),
            )

    async def auth(self, path: str, **body: object) -> Answer:
        """Post to a route of signing in, and keep the tokens that it answers."""
        answer = await self.ask("POST", f"/v1/auth/{path}", body)
        if answer.status in {200, 201} and "access_token" in answer.json:
            self.tokens = answer.json
        return answer

    async def command(self, kind: str, **fields: object) -> Answer:
        return await self.ask(
            "POST",
            "/v1/commands",
            {"type": kind, **fields},
            Idempotency_Key=str(new_id()),
        )

    async def code(self) -> str:
        """Ask for a code, and read it in the letter that comes."""
        before = len(letters_to(self.stack, self.email))
        answer = await self.auth("codes", org=self.org, email=self.email)
        assert answer.status == 202, answer.body
        letters = await post(self.stack, self.email, more_than=before)
        return code_in(letters[-1])

    async def register(self, **fields: object) -> Answer:
        given = {
            "org": self.org,
            "email": self.email,
            "username": self.username,
            "full_name": f"{self.username} of the library",
            "password": PASSWORD,
            **fields,
        }
        if "code" not in given:
            given["code"] = await self.code()
        return await self.auth("register", **given)

    async def sign_in(self, **proof: object) -> Answer:
        return await self.auth(
            "sign-in",
            org=self.org,
            email=self.email,
            **(proof or {"password": PASSWORD}),
        )


def administrator(stack: Stack, org: str = ORG) -> Person:
    """Return somebody with a token of the organisation's administrator."""
    token = stack.token(org=org, subject="user:ada", roles=["access:admin"])
    return Person(
        stack=stack,
        email="ada@library.example",
        org=org,
        tokens={"access_token": token},
    )


async def open_to_all(stack: Stack, org: str = ORG) -> None:
    """Let everybody register, who then may write in testing."""
    answer = await administrator(stack, org).command(
        "access.CreateOrganisation",
        organisation_id=str(organisation_id(org)),
        name="The library",
        registration="open",
        default_grants=[{"area": "testing", "role": "viewer"}],
    )
    assert answer.status == 200, answer.body


def letters_to(stack: Stack, email: str) -> list[str]:
    """Return the texts of the letters to an address, oldest first."""
    return texts_to(Path(stack.settings.data_dir) / OUTBOX, email)


def texts_to(folder: Path, email: str) -> list[str]:
    """Return the texts of the letters to an address in a folder, oldest first."""
    found = []
    for path in sorted(folder.glob("*.eml")):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        if message["To"] == email:
            found.append(message.get_content())
    return found


async def post(stack: Stack, email: str, *, more_than: int) -> list[str]:
    """Return the letters to an address, once there are more than so many."""
    async with asyncio.timeout(10):
        while len(found := letters_to(stack, email)) <= more_than:  # noqa: ASYNC110 - a file wakes no one
            await asyncio.sleep(0.02)
    return found


def code_in(letter: str) -> str:
    return "".join(
        line.replace(" ", "") for line in letter.splitlines() if line.startswith("    ")
    )
