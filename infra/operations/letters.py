"""Dead letters of both kinds: messages that asked for commands, and jobs that failed.

A letter is known by its id, whichever kind it is. Handling one again is safe at any
time: a command keeps its id, and a job the key of its effect.
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from events.errors import Failure, Malformed, Missing, TooLarge
from infra.postgres.letters import PostgresLetters
from infra.postgres.work import PostgresWork
from services.identity import Identity
from services.intake.answering import Answering
from services.intake.letters import Letter
from services.outcome import Outcome
from services.ports import Failed


Kind = Literal["command", "work"]

UNTRIED: Final = "only the beginning of the body was kept"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter in a list.

    `type` is the routing key of a message, or the kind of a job; `times` how often it
    was put aside, or tried.
    """

    letter_id: UUID
    kind: Kind
    org_id: str | None
    type: str
    code: str
    detail: str
    path: str | None
    times: int
    at: datetime


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A letter with all that is known of it; `body` is base64 where it is no text."""

    letter_id: UUID
    kind: Kind
    state: str
    code: str
    detail: str
    path: str | None
    times: int
    at: datetime
    properties: dict[str, object]
    headers: dict[str, object]
    identity: Identity | None
    body: object
    size: int


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a letter that was handled again.

    `done`: it was handled, now or before, with `outcome` if it was one command.
    `opened`: the job will be tried. `dead`: it failed again.
    """

    letter_id: UUID
    kind: Kind
    state: Literal["done", "opened", "dead"]
    outcome: Outcome | None = None
    code: str | None = None
    detail: str | None = None
    path: str | None = None


class DeadLetters:
    """What operators do with letters."""

    def __init__(
        self,
        *,
        letters: PostgresLetters,
        work: PostgresWork,
        answering: Answering,
    ) -> None:
        self._letters = letters
        self._work = work
        self._answering = answering

    async def entries(
        self, org_id: str | None, *, kind: Kind | None, limit: int
    ) -> list[Entry]:
        """Return dead letters of one organisation or all, the oldest first."""
        found: list[Entry] = []
        if kind != "work":
            letters = await self._letters.dead(org_id, limit=limit)
            found += [_of_message(letter) for letter in letters]
        if kind != "command":
            failed = await self._work.dead_letters(org_id, limit=limit)
            found += [_of_job(each) for each in failed]
        return sorted(found, key=lambda entry: entry.at)[:limit]

    async def show(self, letter_id: UUID) -> Shown:
        """Return a letter, or raise `Missing`."""
        try:
            return _shown(await self._letters.letter(letter_id))
        except Missing:
            return _shown_job(await self._failed(letter_id))

    async def retry(
        self, letter_id: UUID, *, as_: Identity | None, body: bytes | None = None
    ) -> Retried:
        """Handle a letter again, or raise `Missing`.

        It is handled as whom its token proved; `as_` stands in where it proved nobody.
        `body` is put in the place of the one that it has.
        """
        try:
            letter = await self._letters.letter(letter_id)
        except Missing:
            await self._work.retry(letter_id)
            return Retried(letter_id=letter_id, kind="work", state="opened")
        if letter.state == "dropped":
            message = f"The letter {letter_id} was dropped."
            raise Missing(message)
        if letter.state == "done":
            return Retried(letter_id=letter_id, kind="command", state="done")
        return await self._again(letter, as_, body)

    async def drop(self, letter_id: UUID) -> Kind:
        """Close a letter for good and return its kind, or raise `Missing`."""
        try:
            await self._letters.drop(letter_id)
        except Missing:
            await self._work.drop(letter_id)
            return "work"
        return "command"

    async def _again(
        self, letter: Letter, as_: Identity | None, body: bytes | None
    ) -> Retried:
        identity = letter.identity or as_
        if identity is None:
            sentence = "The message proved nobody: say in which organisation to try it."
            raise Malformed(sentence, path="org")
        if body is None and letter.size > len(letter.message.body):
            sentence = f"It cannot be tried again as it is: {UNTRIED}."
            raise TooLarge(sentence)
        message = msgspec.structs.replace(
            letter.message,
            body=letter.message.body if body is None else body,
            expires_at=None,
            death=None,
        )
        begun = self._answering.begin(message, identity)
        found = await self._answering.answer(begun)
        failure = found.failure
        if failure is None:
            await self._letters.close(letter.letter_id)
            return Retried(
                letter_id=letter.letter_id,
                kind="command",
                state="done",
                outcome=found.outcome,
            )
        await self._letters.keep(letter.message, letter.identity, failure)
        return _dead(letter.letter_id, failure)

    async def _failed(self, job_id: UUID) -> Failed:
        after: UUID | None = None
        while page := await self._work.dead_letters(after=after):
            for failed in page:
                if failed.job_id == job_id:
                    return failed
            after = page[-1].job_id
        message = f"There is no letter {job_id}."
        raise Missing(message)


def _of_message(letter: Letter) -> Entry:
    identity = letter.identity
    return Entry(
        letter_id=letter.letter_id,
        kind="command",
        org_id=None if identity is None else identity.org_id,
        type=letter.message.routing_key,
        code=letter.code,
        detail=letter.detail,
        path=letter.path,
        times=letter.deliveries,
        at=letter.received_at,
    )


def _of_job(failed: Failed) -> Entry:
    return Entry(
        letter_id=failed.job_id,
        kind="work",
        org_id=failed.job.org_id,
        type=failed.job.kind,
        code="failed",
        detail=failed.error,
        path=None,
        times=failed.attempts,
        at=failed.failed_at,
    )


def _shown(letter: Letter) -> Shown:
    message = letter.message
    return Shown(
        letter_id=letter.letter_id,
        kind="command",
        state=letter.state,
        code=letter.code,
        detail=letter.detail,
        path=letter.path,
        times=letter.deliveries,
        at=letter.received_at,
        properties={
            name: value
            for name in message.__struct_fields__
            if name not in {"body", "headers"}
            and (value := getattr(message, name)) is not None
        },
        headers=dict(message.headers),
        identity=letter.identity,
        body=_readable(message.body),
        size=letter.size,
    )


def _shown_job(failed: Failed) -> Shown:
    job = failed.job
    return Shown(
        letter_id=failed.job_id,
        kind="work",
        state="dead",
        code="failed",
        detail=failed.error,
        path=None,
        times=failed.attempts,
        at=failed.failed_at,
        properties={
            "kind": job.kind,
            "key": job.key,
            "org_id": job.org_id,
            "position": job.position,
            "event_id": job.event_id,
            "correlation_id": job.correlation_id,
        },
        headers=dict(job.headers),
        identity=None,
        body=job.body,
        size=len(msgspec.json.encode(job.body)),
    )


def _readable(body: bytes) -> object:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _dead(letter_id: UUID, failure: Failure) -> Retried:
    return Retried(
        letter_id=letter_id,
        kind="command",
        state="dead",
        code=type(failure).__name__,
        detail=str(failure),
        path=failure.path,
    )
