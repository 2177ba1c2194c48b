"""Commands as the arguments that the functions which append take.

Nearly all arrays go as one text each, which costs a tenth of what the driver takes for
every element: as PostgreSQL writes arrays, or, for headers, as lines, because JSON as
the log encodes it holds no line break. UUIDs go as they are, because the server takes
longer to read their text than the driver takes for them. Events go as one run of bytes
and the place of each, and so do their digests, which are made here, because a server
takes up to ten times as long for them, and under the log's lock. Most commands write
one event to one stream; what numbers writes and events is left out for these.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from operator import itemgetter
from struct import Struct
from typing import Any, Final
from uuid import UUID
from zlib import crc32

import msgspec

from events import catalogue
from events.errors import Malformed
from events.log import Append, Status, Verdict, Write
from infra.postgres.hashing import (
    LENGTH_OF_UUID,
    NULL,
    SLICES,
    field,
    field_of_uuid,
    microseconds,
)
from services.ports import Ids


ARGUMENTS: Final = (
    "$1::uuid[], $2::bytea, $3::uuid[], $4::uuid[], "
    "$5::text::bigint[], string_to_array($6, E'\\n', ''), $7::text::integer[], "
    "$8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[], "
    "$13::text::bigint[], $14::text::integer[], $15::text::integer[], "
    "$16::text::integer[], $17::text::text[], $18::text::smallint[], "
    "$19::text::bigint[], $20::text::integer[], $21::text::integer[], "
    "$22::text::boolean[], $23::uuid[], $24::bytea, $25::text::integer[], "
    "$26::uuid[], $27::bytea"
)
SINGLE_ARGUMENTS: Final = (
    "$1::uuid[], $2::bytea, $3::uuid[], $4::uuid[], "
    "$5::text::bigint[], string_to_array($6, E'\\n', ''), $7::text::integer[], "
    "$8::text[], $9::text[], $10::text[], $11::text[], $12::text::text[], "
    "$13::text::smallint[], $14::text::bigint[], $15::uuid[], $16::bytea, "
    "$17::text::integer[], $18::uuid[], $19::bytea"
)
HASH_BYTES: Final = 32
ALL_ACCEPTED: Final = 0  # the number of no command
SIZES: Final = 512

_NULL: Final = "NULL"

_encode: Final = msgspec.json.Encoder().encode
_numbers: Final = Struct(">qhi").pack
_length: Final = Struct(">i").pack

Arguments = tuple[bytes | str | Sequence[UUID | str | None] | None, ...]
Caller = tuple[str, str, str, str | None]
Shape = tuple[str, str, str, str, str]

_statuses: Final = {str(status): status for status in Status}


class Sealed(Append, frozen=True, kw_only=True, gc=False):
    """What a command appends with its personal text sealed.

    `event_ids` and `key_ids` have an element for each event, in the order of writes.
    """

    event_ids: Sequence[UUID]
    key_ids: Sequence[UUID | None]


class Columns:
    """Commands that go to the log in one call, column by column.

    Events are encoded here and not as each command comes, because a loop over many
    takes half the time. `size` is that of the encoded events in bytes.
    """

    __slots__ = (
        "_commands",
        "_counts",
        "_data",
        "_headers",
        "_ids",
        "_key_ids",
        "_moments",
        "_new",
        "_slices",
        "_streams",
        "_writes",
        "size",
    )

    def __init__(self, commands: Sequence[Append] = (), *, ids: Ids) -> None:
        self._new = ids
        self._commands: list[Append] = []
        self._writes: list[Write] = []
        self._counts: list[int] = []
        self._data: list[bytes] = []
        self._streams: list[bytes] = []
        self._slices: list[int] = []
        self._headers: list[bytes] = []
        self._moments: list[int] = []
        self._ids: list[UUID] = []
        self._key_ids: list[UUID | None] = []
        self.size = 0
        self.add(commands)

    def __len__(self) -> int:
        return len(self._commands)

    def add(self, commands: Sequence[Append]) -> None:
        """Add commands after those that are there.

        Raises `Malformed` for text that is not Unicode, and `ValueError` for what no
        command may be; then nothing was added.
        """
        check(commands)
        writes = [write for command in commands for write in command.writes]
        try:
            data = [
                catalogue.encode(event) for write in writes for event in write.events
            ]
            streams = [write.stream_id.encode() for write in writes]
            headers = [
                _encode(command.meta.headers) if command.meta.headers else b""
                for command in commands
            ]
        except UnicodeEncodeError as error:
            message = f"A text of the command is not Unicode: {error.reason}."
            raise Malformed(message) from error
        self._commands += commands
        self._writes += writes
        self._counts += (
            [len(write.events) for write in writes]
            if [len(command.writes) for command in commands].count(1) == len(commands)
            else [
                sum([len(write.events) for write in command.writes])
                for command in commands
            ]
        )
        self._data += data
        self._streams += streams
        self._slices += [crc32(stream) % SLICES for stream in streams]
        self._headers += headers
        self._moments += [
            microseconds(command.meta.occurred_at) for command in commands
        ]
        self.size += sum(map(len, data))
        if Sealed in map(type, commands):
            self._identify(commands)
        else:
            new = self._new
            self._ids += [new() for _ in data]
            self._key_ids += [None] * len(data)

    def _identify(self, commands: Sequence[Append]) -> None:
        """Name events, as they were named already where they are sealed."""
        for command, count in zip(
            commands, self._counts[-len(commands) :], strict=True
        ):
            if isinstance(command, Sealed):
                self._ids += command.event_ids
                self._key_ids += command.key_ids
            else:
                self._ids += [self._new() for _ in range(count)]
                self._key_ids += [None] * count

    @property
    def are_single(self) -> bool:
        """Say whether each command adds one event to one stream, and no more."""
        commands, size = self._commands, len(self._commands)
        return (
            self._counts.count(1) == len(self._writes) == size
            and [len(command.writes) for command in commands].count(1) == size
            and [write.closes for write in self._writes].count(False) == size
            and [command.meta.fence for command in commands].count(None) == size
        )

    def single_arguments(self) -> Arguments:
        """Return the arguments of `es.append_singles_v2`, in order."""
        callers, numbered = self._callers()
        return (
            *self._of_commands(callers, numbered),
            *self._of_writes(),
            *self._of_events(self._shared(callers, numbered), self._endings()),
        )

    def arguments(self) -> Arguments:
        """Return the arguments of `es.append_v4`, in order."""
        callers, numbered = self._callers()
        fences = [command.meta.fence for command in self._commands]
        fenced = fences.count(None) < len(fences)
        (
            first_writes,
            write_commands,
            write_offsets,
            write_events,
            closes,
        ) = shape(self._commands)
        sizes = [len(write.events) for write in self._writes]
        return (
            *self._of_commands(callers, numbered),
            [fence and fence[0] for fence in fences] if fenced else None,
            optional([fence and fence[1] for fence in fences]) if fenced else None,
            first_writes,
            numbers(self._counts),
            write_commands,
            *self._of_writes(),
            write_offsets,
            write_events,
            closes,
            *self._of_events(
                repeated(self._shared(callers, numbered), sizes),
                repeated(self._endings(), self._counts),
            ),
        )

    def _callers(self) -> tuple[list[int], dict[Caller, int]]:
        """Return the number of each command's caller, and callers by number."""
        numbered: dict[Caller, int] = {}
        callers = [
            numbered.setdefault(
                (meta.org_id, meta.region, meta.actor, meta.ip), len(numbered) + 1
            )
            for meta in [command.meta for command in self._commands]
        ]
        return callers, numbered

    def _of_commands(
        self, callers: Sequence[int], numbered: Iterable[Caller]
    ) -> Arguments:
        """Return what is said of each command, and of each caller."""
        metas = [command.meta for command in self._commands]
        orgs, regions, actors, ips = zip(*numbered, strict=True)
        return (
            [meta.command_id for meta in metas],
            b"".join([command.body_hash for command in self._commands]),
            some(
                [
                    None
                    if meta.correlation_id is meta.command_id
                    else meta.correlation_id
                    for meta in metas
                ]
            ),
            some([meta.causation_id for meta in metas]),
            numbers(self._moments),
            b"\n".join(self._headers).decode() if any(self._headers) else None,
            ones(len(callers)) if len(orgs) == 1 else numbers(callers),
            orgs,
            regions,
            actors,
            ips,
        )

    def _of_writes(self) -> Arguments:
        """Return streams, slices and expected versions."""
        return (
            texts([write.stream_id for write in self._writes]),
            numbers(self._slices),
            numbers([write.expected for write in self._writes]),
        )

    def _of_events(
        self, shared: Sequence[bytes], endings: Sequence[bytes]
    ) -> Arguments:
        """Return ids, data, where that of each begins and the last ends, and so on.

        What follows are keys and digests; for these `shared` and `endings` have what
        comes after the id and after the data of each event.
        """
        keys = some(self._key_ids)
        fields = [NULL] * len(self._ids) if keys is None else map(field_of_uuid, keys)
        return (
            self._ids,
            b"".join(self._data),
            numbers(list(accumulate(map(len, self._data), initial=1))),
            keys,
            b"".join(
                [
                    sha256(
                        b"".join((event_id, middle, key, _length(len(data)), data, end))
                    ).digest()
                    for event_id, middle, key, data, end in zip(
                        [event_id.int.to_bytes(16) for event_id in self._ids],
                        shared,
                        fields,
                        self._data,
                        endings,
                        strict=True,
                    )
                ]
            ),
        )

    def _shared(
        self, callers: Sequence[int], numbered: Iterable[Caller]
    ) -> list[bytes]:
        """Return, by write, what the digests of its events have after their ids."""
        named = [
            (field(org) + field(region), field(actor) + field(ip))
            for org, region, actor, ip in numbered
        ]
        written = [
            (command.meta, moment, *named[caller - 1])
            for command, moment, caller in zip(
                self._commands, self._moments, callers, strict=True
            )
            for _ in command.writes
        ]
        return [
            b"".join(
                (
                    _numbers(moment, part, len(stream)),
                    stream,
                    origin,
                    LENGTH_OF_UUID,
                    meta.command_id.int.to_bytes(16),
                    LENGTH_OF_UUID,
                    meta.correlation_id.int.to_bytes(16),
                    field_of_uuid(meta.causation_id),
                    author,
                )
            )
            for (meta, moment, origin, author), stream, part in zip(
                written, self._streams, self._slices, strict=True
            )
        ]

    def _endings(self) -> list[bytes]:
        """Return, by command, what the digests of its events have after their data."""
        return [
            _length(len(header)) + header if header else NULL
            for header in self._headers
        ]

    def verdicts(self, rows: Sequence[Any]) -> list[Verdict]:
        """Return the verdicts on the commands that a function returned, in order."""
        first, _, before, _, _, _, recorded_at, receipt, versions = rows[0]
        if first != ALL_ACCEPTED:
            return [verdict(*row[1:-1]) for row in sorted(rows, key=itemgetter(0))]
        counts = self._counts
        positions = [before + passed for passed in accumulate(counts)]
        accepted = Status.OK
        return [
            Verdict(
                status=accepted,
                position=position if events else positions[-1],
                version=version or 0,
                events=events,
                recorded_at=recorded_at,
                receipt=receipt,
            )
            for events, position, version in zip(
                counts, positions, versions, strict=True
            )
        ]


def check(commands: Sequence[Append]) -> None:
    """Raise `ValueError` for what no command may be: a mistake of whoever made it."""
    sizes = [len(command.body_hash) for command in commands]
    if sizes.count(HASH_BYTES) < len(sizes):
        raise ValueError("A body's hash has 32 bytes.")
    for command in commands:
        writes = command.writes
        if len(writes) > 1 and len({write.stream_id for write in writes}) < len(writes):
            raise ValueError("A command writes to each stream at most once.")


def shape(commands: Sequence[Append]) -> Shape:
    """Return what numbers the writes of commands, and the events of writes.

    These are first_writes, write_commands, write_offsets, write_events and
    write_closes.
    """
    first_writes: list[int] = []
    write_commands: list[int] = []
    offsets: list[int] = []
    write_events: list[int] = []
    closes: list[str] = []
    events = 0
    for place, command in enumerate(commands, start=1):
        first_writes.append(len(write_commands) + 1 if command.writes else 0)
        for write in command.writes:
            write_commands.append(place)
            offsets.append(events)
            write_events.append(len(write.events))
            closes.append("t" if write.closes else "f")
            events += len(write.events)
    return (
        numbers(first_writes),
        numbers(write_commands),
        numbers(offsets),
        numbers(write_events),
        "{" + ",".join(closes) + "}",
    )


def numbers(values: Sequence[int]) -> str:
    """Return integers as an array."""
    return f"{{{str(values)[1:-1]}}}"


def optional(values: Iterable[int | None]) -> str:
    """Return integers, some of them null, as an array."""
    return "{" + ",".join([_NULL if n is None else str(n) for n in values]) + "}"


def some(values: Sequence[UUID | None]) -> Sequence[UUID | None] | None:
    """Return UUIDs, None where all are null."""
    return None if values.count(None) == len(values) else values


def texts(values: Sequence[str]) -> str:
    """Return texts as an array."""
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join(
            [each.replace("\\", "\\\\").replace('"', '\\"') for each in values]
        )
    return f'{{"{joined}"}}' if values else "{}"


def repeated(values: Iterable[bytes], times: Sequence[int]) -> list[bytes]:
    """Return each value as often as the number at its place says."""
    return [
        value for value, count in zip(values, times, strict=True) for _ in range(count)
    ]


@lru_cache(maxsize=SIZES)
def ones(size: int) -> str:
    """Return so many ones as an array."""
    return numbers([1] * size)


def verdict(  # noqa: PLR0917 - the columns of a row
    status: str,
    position: int,
    version: int,
    events: int,
    stream_id: str | None,
    recorded_at: datetime | None,
    receipt: str | None,
) -> Verdict:
    """Return what a row of verdicts says."""
    return Verdict(
        status=_statuses[status],
        position=position,
        version=version,
        events=events,
        stream_id=stream_id,
        recorded_at=recorded_at,
        receipt=receipt,
    )
