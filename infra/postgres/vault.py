"""The key store in PostgreSQL: one key for each data subject, wrapped by a master key.

Each process keeps unwrapped keys for `ttl` seconds at most, so an erasure takes effect
at once in the process that erases and within `ttl` in every other. Seals are counted
in blocks that a process takes from the key's row, so that no key, whoever uses it,
seals more than `SEALS_PER_KEY` texts; then it is retired, which leaves it able to open,
and a new one is made. A destroyed row stays its subject's current key: making another
fails, also for a subject that was erased before it had one.
"""

import os
import time
from collections import OrderedDict
from collections.abc import (
    AsyncIterator,
    Callable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid5

import asyncpg

from events.errors import Unavailable
from events.message import Event
from infra.postgres.failures import reaching_database
from infra.postgres.pool import Pool, open_pool
from infra.sealing import (
    KEY_BYTES,
    SEALS_PER_KEY,
    DataKey,
    ErasedSubject,
    MasterKeys,
    erased,
    master_name,
    subject,
    texts,
)
from infra.settings import SetupError
from infra.vault import is_personal
from services.ports import Ids


INSTALLATION: Final = ""  # the organisation of no token
SECRETS: Final = UUID("b2a1c3d4-0f5e-5a67-9b1c-7d1f0a9e4c52")

CURRENT: Final = """
SELECT subject_id, key_id, wrapped
FROM keys.subject_keys
WHERE org_id = $1
  AND subject_id = ANY($2::uuid[])
  AND retired_at IS NULL
"""

TAKE: Final = """
INSERT INTO keys.subject_keys AS k (key_id, org_id, subject_id, wrapped, seals)
SELECT c.key_id, $1, c.subject_id, c.wrapped, c.seals
FROM unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::bigint[])
    AS c (subject_id, key_id, wrapped, seals)
ORDER BY c.subject_id
ON CONFLICT (org_id, subject_id) WHERE retired_at IS NULL
DO UPDATE SET seals = k.seals + excluded.seals
WHERE k.wrapped IS NOT NULL
RETURNING k.subject_id, k.key_id, k.wrapped, k.seals
"""

RETIRE: Final = """
UPDATE keys.subject_keys
SET retired_at = clock_timestamp()
WHERE key_id = $1
  AND retired_at IS NULL
  AND destroyed_at IS NULL
"""

FIND: Final = """
SELECT key_id, wrapped
FROM keys.subject_keys
WHERE key_id = ANY($1::uuid[])
"""

DESTROY_CURRENT: Final = """
INSERT INTO keys.subject_keys AS k (key_id, org_id, subject_id, destroyed_at)
VALUES ($1, $2, $3, clock_timestamp())
ON CONFLICT (org_id, subject_id) WHERE retired_at IS NULL
DO UPDATE SET wrapped = NULL, destroyed_at = clock_timestamp()
WHERE k.destroyed_at IS NULL
"""

DESTROY_RETIRED: Final = """
UPDATE keys.subject_keys
SET wrapped = NULL, destroyed_at = clock_timestamp()
WHERE org_id = $1
  AND subject_id = $2
  AND retired_at IS NOT NULL
  AND destroyed_at IS NULL
"""

KEYS_OF_SUBJECT: Final = """
SELECT key_id
FROM keys.subject_keys
WHERE org_id = $1
  AND subject_id = $2
ORDER BY created_at, key_id
"""

NEWEST: Final = """
SELECT key_id, wrapped
FROM keys.subject_keys
WHERE wrapped IS NOT NULL
ORDER BY key_id DESC
LIMIT 1
"""

WRAPPED_BY: Final = """
SELECT key_id, wrapped
FROM keys.subject_keys
WHERE substr(wrapped, 1, 8) = $1
  AND ($2::uuid IS NULL OR key_id > $2)
ORDER BY key_id
LIMIT $3
"""

REWRAP: Final = """
UPDATE keys.subject_keys AS k
SET wrapped = c.new
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS c (key_id, old, new)
WHERE k.key_id = c.key_id
  AND k.wrapped = c.old
"""


class _Held:
    """A current key in this process, and how many seals of its block are left."""

    __slots__ = ("expires", "key", "left")

    def __init__(self, key: DataKey, *, left: int, expires: float) -> None:
        self.key = key
        self.left = left
        self.expires = expires


class PostgresVault:
    """Seals and opens with keys from `keys.subject_keys`."""

    def __init__(
        self,
        pool: Pool,
        masters: MasterKeys,
        *,
        ids: Ids,
        ttl: float = 30.0,
        capacity: int = 10_000,
        block: int = 1_024,
        seals_per_key: int = SEALS_PER_KEY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._masters = masters
        self._ids = ids
        self._ttl = ttl
        self._capacity = capacity
        self._block = block
        self._seals_per_key = seals_per_key
        self._clock = clock
        self._erasures = 0
        self._current: OrderedDict[tuple[str, UUID], _Held] = OrderedDict()
        self._opening: OrderedDict[UUID, tuple[DataKey | None, float]] = OrderedDict()

    async def seal(
        self, org_id: str, events: Sequence[tuple[UUID, Event]]
    ) -> Sequence[tuple[Event, UUID | None]]:
        """Return each (event id, event) sealed, with its key's id if it was.

        Raises `ErasedSubject` where the subject was erased.
        """
        needs: dict[UUID, int] = {}
        for _, event in events:
            if is_personal(event):
                person = subject(event)
                needs[person] = needs.get(person, 0) + texts(event)
        if not needs:
            return [(event, None) for _, event in events]
        keys = await self._hold(org_id, needs)
        sealed: list[tuple[Event, UUID | None]] = []
        for event_id, event in events:
            if is_personal(event):
                key = keys[subject(event)]
                sealed.append((key.seal(event_id, event), key.key_id))
            else:
                sealed.append((event, None))
        return sealed

    async def open(
        self, events: Sequence[tuple[UUID, UUID | None, Event]]
    ) -> Sequence[Event]:
        """Return each (event id, key id, event) opened, `ERASED` where it cannot be."""
        keys = await self._find({key_id for _, key_id, _ in events if key_id})
        return [
            event
            if key_id is None
            else key.open(event_id, event)
            if (key := keys.get(key_id))
            else erased(event)
            for event_id, key_id, event in events
        ]

    async def erase(self, org_id: str, subject_id: UUID) -> Sequence[UUID]:
        """Destroy a subject's keys for ever and return their ids.

        A subject without a key gets a destroyed one, so that none can be made later.
        """
        try:
            key_ids = await self._destroy(org_id, subject_id)
        except BaseException:
            self._forget_all()
            raise
        self._erasures += 1
        self._current.pop((org_id, subject_id), None)
        for key_id in key_ids:
            self._opening.pop(key_id, None)
        return key_ids

    async def secret(self, purpose: str) -> bytes:
        """Return a secret of the installation, made when it is first asked for.

        It is kept as a subject's key is, and outlives changes of the master key.
        """
        (row,) = await self._take_blocks(INSTALLATION, {uuid5(SECRETS, purpose): 1})
        return self._masters.unwrap(row["key_id"], row["wrapped"])

    async def check(self) -> None:
        """Raise `SetupError` where the key file does not fit the key store."""
        with reaching_database():
            row = await self._pool.fetchrow(NEWEST)
        if row is None:
            return
        try:
            self._masters.unwrap(row["key_id"], row["wrapped"])
        except Unavailable as error:
            raise SetupError(str(error)) from error

    async def _destroy(self, org_id: str, subject_id: UUID) -> list[UUID]:
        person = org_id, subject_id
        with reaching_database():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(DESTROY_CURRENT, self._ids(), *person)
                await connection.execute(DESTROY_RETIRED, *person)
                rows = await connection.fetch(KEYS_OF_SUBJECT, *person)
        return [row["key_id"] for row in rows]

    def _forget_all(self) -> None:
        """Forget every key: an erasure whose outcome is unknown may have happened."""
        self._erasures += 1
        self._current.clear()
        self._opening.clear()

    async def _hold(
        self, org_id: str, needs: Mapping[UUID, int]
    ) -> Mapping[UUID, DataKey]:
        """Return a key for each subject, and count its seals as used."""
        while True:
            erasures = self._erasures
            held = await self._gather(org_id, needs)
            # Others may have erased a subject, or used up a block, meanwhile.
            if erasures == self._erasures and all(
                held[person].left >= seals for person, seals in needs.items()
            ):
                return {
                    person: self._spend(org_id, person, held[person], seals)
                    for person, seals in needs.items()
                }

    async def _gather(
        self, org_id: str, needs: Mapping[UUID, int]
    ) -> dict[UUID, _Held]:
        now = self._clock()
        held: dict[UUID, _Held] = {}
        stale: dict[UUID, _Held] = {}
        for person, seals in needs.items():
            found = self._current.get((org_id, person))
            if found is not None and found.left >= seals:
                (held if found.expires > now else stale)[person] = found
        if stale:
            held |= await self._confirm(org_id, stale)
        short = {
            person: max(seals, self._block)
            for person, seals in needs.items()
            if person not in held
        }
        if short:
            held |= await self._take(org_id, short)
        return held

    def _spend(self, org_id: str, person: UUID, held: _Held, seals: int) -> DataKey:
        held.left -= seals
        self._current[org_id, person] = held
        self._current.move_to_end((org_id, person))
        while len(self._current) > self._capacity:
            self._current.popitem(last=False)
        return held.key

    async def _confirm(
        self, org_id: str, stale: Mapping[UUID, _Held]
    ) -> dict[UUID, _Held]:
        expires = self._clock() + self._ttl
        with reaching_database():
            rows = await self._pool.fetch(CURRENT, org_id, list(stale))
        confirmed = {}
        for row in rows:
            held = stale[row["subject_id"]]
            if row["wrapped"] is not None and row["key_id"] == held.key.key_id:
                held.expires = expires
                confirmed[row["subject_id"]] = held
        return confirmed

    async def _take(self, org_id: str, short: Mapping[UUID, int]) -> dict[UUID, _Held]:
        wanted = dict(short)
        taken: dict[UUID, _Held] = {}
        while wanted:
            expires = self._clock() + self._ttl
            for row in await self._take_blocks(org_id, wanted):
                key_id = row["key_id"]
                if row["seals"] > self._seals_per_key:
                    with reaching_database():
                        await self._pool.execute(RETIRE, key_id)
                else:
                    person = row["subject_id"]
                    secret = self._masters.unwrap(key_id, row["wrapped"])
                    taken[person] = _Held(
                        DataKey(key_id, secret),
                        left=wanted.pop(person),
                        expires=expires,
                    )
        return taken

    async def _take_blocks(
        self, org_id: str, wanted: Mapping[UUID, int]
    ) -> Sequence[asyncpg.Record]:
        key_ids = [self._ids() for _ in wanted]
        drafts = [
            self._masters.wrap(key_id, os.urandom(KEY_BYTES)) for key_id in key_ids
        ]
        blocks = list(wanted), key_ids, drafts, list(wanted.values())
        with reaching_database():
            rows = await self._pool.fetch(TAKE, org_id, *blocks)
        if len(rows) < len(wanted):
            raise ErasedSubject
        return rows

    async def _find(self, key_ids: set[UUID]) -> Mapping[UUID, DataKey | None]:
        now = self._clock()
        found: dict[UUID, DataKey | None] = {}
        for key_id in key_ids:
            cached = self._opening.get(key_id)
            if cached is not None and cached[1] > now:
                found[key_id] = cached[0]
                self._opening.move_to_end(key_id)
        missing = key_ids - found.keys()
        while missing:
            erasures = self._erasures
            expires = self._clock() + self._ttl
            with reaching_database():
                rows = await self._pool.fetch(FIND, list(missing))
            if erasures == self._erasures:
                found |= self._keep(missing, rows, expires)
                break
        return found

    def _keep(
        self, missing: set[UUID], rows: Sequence[asyncpg.Record], expires: float
    ) -> dict[UUID, DataKey | None]:
        keys: dict[UUID, DataKey | None] = dict.fromkeys(missing)
        for key_id, wrapped in rows:
            if wrapped is not None:
                keys[key_id] = DataKey(key_id, self._masters.unwrap(key_id, wrapped))
        for key_id, key in keys.items():
            self._opening[key_id] = key, expires
        while len(self._opening) > self._capacity:
            self._opening.popitem(last=False)
        return keys


@asynccontextmanager
async def open_vault(
    keys_dsn: str, masters: MasterKeys, *, ids: Ids, ttl: float = 30.0
) -> AsyncIterator[PostgresVault]:
    """Open the key store as `rehearsal_keys`, or raise `SetupError` saying why not."""
    pool = await open_pool(
        keys_dsn, min_size=1, max_size=4, application_name="rehearsal keys"
    )
    async with pool:
        vault = PostgresVault(pool, masters, ids=ids, ttl=ttl)
        await vault.check()
        yield vault


async def rotate_master(
    pool: Pool,
    old: bytes,
    new: bytes,
    *,
    page: int = 1_000,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Rewrap every key that the old master key wraps, and return how many.

    Before, start every process with a key file that holds the new key and then the
    old one. It can be stopped and run again at any time; once it returns 0, the old
    key can leave the file.
    """
    masters = MasterKeys(new, old)
    name = master_name(old)
    rewrapped = 0
    after: UUID | None = None
    with reaching_database():
        while rows := await pool.fetch(WRAPPED_BY, name, after, page):
            after = rows[-1]["key_id"]
            status = await pool.execute(
                REWRAP,
                [row["key_id"] for row in rows],
                [row["wrapped"] for row in rows],
                [
                    masters.wrap(
                        row["key_id"], masters.unwrap(row["key_id"], row["wrapped"])
                    )
                    for row in rows
                ],
            )
            rewrapped += int(status.rpartition(" ")[2])
            if progress is not None:
                progress(rewrapped)
    return rewrapped
