"""Letters in PostgreSQL: messages that were put aside, in the table es.letters.

A letter's id is a digest of its message, so whoever puts the same message aside again,
after a crash or a producer's retry, changes the one letter that there is.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from events.errors import Failure, Missing, TooMany
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool
from services.commanding import BATCH_BYTES
from services.identity import Identity
from services.intake.letters import Letter
from services.intake.message import AUTHORIZATION, Message
from services.problems import slug


LETTERS: Final = UUID("6c657474-6572-5000-8000-726568656172")
BEGINNING: Final = 65_536

COLUMNS: Final = """
       id, state, identity, message, body, size, code, detail, path, deliveries,
       received_at, not_before, ended_at
"""
KEEP: Final = """
INSERT INTO es.letters AS letter (
    id, state, org_id, identity, message, body, size, code, detail, path, not_before
)
VALUES (
    $1, CASE WHEN $10::interval IS NULL THEN 'dead' ELSE 'waiting' END,
    $2, $3::text::json, $4::text::json, $5, $6, $7, $8, $9,
    clock_timestamp() + $10::interval
)
ON CONFLICT (id) DO UPDATE
SET state = excluded.state,
    org_id = coalesce(excluded.org_id, letter.org_id),
    identity = coalesce(excluded.identity, letter.identity),
    code = excluded.code,
    detail = excluded.detail,
    path = excluded.path,
    not_before = excluded.not_before,
    deliveries = letter.deliveries + 1,
    ended_at = NULL
"""
TAKE_DUE: Final = f"""
UPDATE es.letters
   SET not_before = clock_timestamp() + $2::interval
 WHERE id = ANY (ARRAY(
       SELECT due.id
         FROM es.letters AS due
        WHERE due.state = 'waiting'
          AND due.not_before <= clock_timestamp()
        ORDER BY due.not_before
        LIMIT $1
          FOR UPDATE SKIP LOCKED
 ))
RETURNING {COLUMNS}
"""  # noqa: S608 - constants
END: Final = """
UPDATE es.letters
   SET state = $2,
       not_before = NULL,
       ended_at = clock_timestamp()
 WHERE id = $1
   AND state = ANY ($3::text[])
RETURNING id
"""
GET: Final = f"SELECT {COLUMNS} FROM es.letters WHERE id = $1"  # noqa: S608 - constants
DEAD: Final = f"""
SELECT {COLUMNS}
  FROM es.letters
 WHERE state = 'dead'
   AND ($1::text IS NULL OR org_id = $1)
   AND ($2::uuid IS NULL OR (received_at, id) > (
       SELECT before.received_at, before.id FROM es.letters AS before
        WHERE before.id = $2
   ))
 ORDER BY received_at, id
 LIMIT $3
"""  # noqa: S608 - constants
FORGET: Final = """
DELETE FROM es.letters
 WHERE received_at < clock_timestamp() - $1::interval
RETURNING id
"""

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class _Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a message beside its body."""

    routing_key: str
    headers: dict[str, Any]
    content_type: str | None = None
    content_encoding: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expires_at: datetime | None = None
    death: str | None = None


_kept: Final = msgspec.json.Decoder(_Kept)
_identity: Final = msgspec.json.Decoder(Identity)


class PostgresLetters:
    """`Letters`, and what operators do with them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keep(
        self, message: Message, identity: Identity | None, failure: Failure
    ) -> UUID:
        """Put a message aside; the same message twice is one letter."""
        kept = _encode(_without_token(message))
        body = message.body
        letter_id = uuid5(LETTERS, sha256(kept + b"\0" + body).hexdigest())
        wait = failure.retry_after if isinstance(failure, TooMany) else None
        with reaching_database():
            await self._pool.execute(
                KEEP,
                letter_id,
                None if identity is None else identity.org_id,
                None if identity is None else _encode(identity).decode(),
                kept.decode(),
                body if len(body) <= BATCH_BYTES else body[:BEGINNING],
                len(body),
                slug(type(failure)),
                _text(str(failure)),
                None if failure.path is None else _text(failure.path),
                None if wait is None else timedelta(seconds=wait),
            )
        return letter_id

    async def take_due(self, limit: int, *, hold: timedelta) -> Sequence[Letter]:
        """Take letters whose time has come; what is not closed is due after `hold`."""
        with reaching_database():
            rows = await self._pool.fetch(TAKE_DUE, limit, hold)
        return [_letter(row) for row in rows]

    async def close(self, letter_id: UUID) -> None:
        """Say that a letter was handled."""
        with reaching_database():
            await self._pool.execute(END, letter_id, "done", ["waiting", "dead"])

    async def drop(self, letter_id: UUID) -> None:
        """Close a dead letter for good, or raise `Missing`."""
        with reaching_database():
            dropped = await self._pool.fetchval(END, letter_id, "dropped", ["dead"])
        if dropped is None:
            message = f"There is no dead letter {letter_id}."
            raise Missing(message)

    async def letter(self, letter_id: UUID) -> Letter:
        """Return a letter in whatever state, or raise `Missing`."""
        with reaching_database():
            row = await self._pool.fetchrow(GET, letter_id)
        if row is None:
            message = f"There is no letter {letter_id}."
            raise Missing(message)
        return _letter(row)

    async def dead(
        self, org_id: str | None = None, *, after: UUID | None = None, limit: int = 100
    ) -> Sequence[Letter]:
        """Return a page of dead letters, of one organisation or all, oldest first."""
        with reaching_database():
            rows = await self._pool.fetch(DEAD, org_id, after, limit)
        return [_letter(row) for row in rows]

    async def forget(self, older: timedelta) -> int:
        """Delete letters that were put aside longer ago; return how many."""
        with reaching_database():
            return len(await self._pool.fetch(FORGET, older))


def _without_token(message: Message) -> _Kept:
    return _Kept(
        routing_key=message.routing_key,
        headers={
            name: value
            for name, value in sorted(message.headers.items())
            if name.lower() != AUTHORIZATION
        },
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expires_at=message.expires_at,
        death=message.death,
    )


def _text(told: str) -> str:
    """Return text that PostgreSQL holds."""
    return told.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace").decode()


def _letter(row: Any) -> Letter:  # noqa: ANN401 - a record of the driver
    kept = _kept.decode(row["message"])
    message = Message(
        body=row["body"],
        **{name: getattr(kept, name) for name in kept.__struct_fields__},
    )
    identity = row["identity"]
    return Letter(
        letter_id=row["id"],
        state=row["state"],
        message=message,
        identity=None if identity is None else _identity.decode(identity),
        code=row["code"],
        detail=row["detail"],
        path=row["path"],
        size=row["size"],
        deliveries=row["deliveries"],
        received_at=row["received_at"],
        not_before=row["not_before"],
        ended_at=row["ended_at"],
    )
