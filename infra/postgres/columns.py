"""Commands as the arguments that `es.append_v3` and `es.append_bulk_v3` take.

Nearly all arrays go as one text each, which costs a tenth of what the driver takes for
every element: as PostgreSQL writes arrays, or, for headers, as lines, because JSON as
the log encodes it holds no line break. UUIDs go as they are, because the server takes
longer to read their text than the driver takes for them. Events go as one run of bytes
and the place of each, so that the server hashes the bytes that came. Most commands
write one event to one stream; what numbers such commands is written once for each size
of a batch.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import msgspec

from events.log import Append, Status, Verdict


ARGUMENTS: Final = (
    "$1::uuid[], $2::bytea, $3::uuid[], $4::uuid[], "
    "$5::text::bigint[], string_to_array($6, E'\\n', ''), $7::text::integer[], "
    "$8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[], "
    "$13::text::bigint[], $14::text::integer[], $15::text::integer[], "
    "$16::text::integer[], $17::text::text[], $18::text::smallint[], "
    "$19::text::bigint[], $20::text::integer[], $21::text::integer[], "
    "$22::text::boolean[], $23::uuid[], $24::bytea, $25::text::integer[], "
    "$26::uuid[]"
)
HASH_BYTES: Final = 32
ALL_ACCEPTED: Final = 0  # the number of no command
SIZES: Final = 512

_NULL: Final = "NULL"

Fact = tuple[UUID, bytes, UUID | None]
Arguments = tuple[bytes | str | Sequence[UUID | str | None] | None, ...]
Caller = tuple[str, str, str, str | None]
Shape = tuple[str, str, str, str, str, str]

_statuses: Final = {str(status): status for status in Status}


class Ready(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command whose events are sealed and encoded.

    `slices` and `facts` have an element for each write. `occurred_at` is in
    microseconds since 2000-01-01 UTC, `events` counts the events, `size` is that of
    the encoded ones in bytes.
    """

    entry: Append
    occurred_at: int
    slices: Sequence[int]
    facts: Sequence[Sequence[Fact]]
    headers: str | None
    events: int
    size: int


def arguments(commands: Sequence[Ready]) -> Arguments:
    """Return the arguments for many commands, in order."""
    metas = [ready.entry.meta for ready in commands]
    writes = [write for ready in commands for write in ready.entry.writes]
    facts = [fact for ready in commands for own in ready.facts for fact in own]
    data = [fact[1] for fact in facts]
    numbered: dict[Caller, int] = {}
    callers = [
        numbered.setdefault(
            (meta.org_id, meta.region, meta.actor, meta.ip), len(numbered) + 1
        )
        for meta in metas
    ]
    orgs, regions, actors, ips = zip(*numbered, strict=True)
    fences = [meta.fence for meta in metas]
    fenced = fences.count(None) < len(fences)
    headers = [ready.headers or "" for ready in commands]
    (
        first_writes,
        event_counts,
        write_commands,
        write_offsets,
        write_events,
        closes,
    ) = shape(commands)
    return (
        [meta.command_id for meta in metas],
        b"".join([ready.entry.body_hash for ready in commands]),
        some(
            [
                None if meta.correlation_id is meta.command_id else meta.correlation_id
                for meta in metas
            ]
        ),
        some([meta.causation_id for meta in metas]),
        numbers([ready.occurred_at for ready in commands]),
        lines(headers) if any(headers) else None,
        ones(len(callers)) if len(numbered) == 1 else numbers(callers),
        orgs,
        regions,
        actors,
        ips,
        [fence and fence[0] for fence in fences] if fenced else None,
        optional([fence and fence[1] for fence in fences]) if fenced else None,
        first_writes,
        event_counts,
        write_commands,
        texts([write.stream_id for write in writes]),
        numbers([number for ready in commands for number in ready.slices]),
        numbers([write.expected for write in writes]),
        write_offsets,
        write_events,
        closes,
        [fact[0] for fact in facts],
        b"".join(data),
        numbers(list(accumulate(map(len, data), initial=1))),
        some([fact[2] for fact in facts]),
    )


def shape(commands: Sequence[Ready]) -> Shape:
    """Return what numbers the writes of commands, and the events of writes.

    These are first_writes, event_counts, write_commands, write_offsets, write_events
    and write_closes.
    """
    for ready in commands:
        if ready.events != 1 or len(ready.facts) != 1 or ready.entry.writes[0].closes:
            break
    else:
        size = len(commands)
        places, counts = series(size), ones(size)
        return places, counts, places, series(size, start=0), counts, falses(size)
    first_writes: list[int] = []
    event_counts: list[int] = []
    write_commands: list[int] = []
    offsets: list[int] = []
    write_events: list[int] = []
    closes: list[str] = []
    events = 0
    for place, ready in enumerate(commands, start=1):
        first_writes.append(len(write_commands) + 1 if ready.facts else 0)
        event_counts.append(ready.events)
        for write, own in zip(ready.entry.writes, ready.facts, strict=True):
            write_commands.append(place)
            offsets.append(events)
            write_events.append(len(own))
            closes.append("t" if write.closes else "f")
            events += len(own)
    return (
        numbers(first_writes),
        numbers(event_counts),
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


def lines(values: Sequence[str]) -> str:
    """Return JSON as lines; a line break between tokens is as good as a space."""
    joined = "\n".join(values)
    if joined.count("\n") >= len(values) > 0:
        return "\n".join([each.replace("\n", " ") for each in values])
    return joined


@lru_cache(maxsize=SIZES)
def series(size: int, *, start: int = 1) -> str:
    """Return so many integers that follow on each other as an array."""
    return numbers(list(range(start, start + size)))


@lru_cache(maxsize=SIZES)
def ones(size: int) -> str:
    """Return so many ones as an array."""
    return numbers([1] * size)


@lru_cache(maxsize=SIZES)
def falses(size: int) -> str:
    """Return so many times false as an array."""
    return "{" + ",".join("f" * size) + "}"


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


def verdicts(commands: Sequence[Ready], rows: Sequence[Any]) -> list[Verdict]:
    """Return the verdicts on commands, in their order, that a function returned."""
    first, _, before, _, _, _, recorded_at, receipt, versions = rows[0]
    if first != ALL_ACCEPTED:
        return [verdict(*row[1:-1]) for row in sorted(rows, key=itemgetter(0))]
    counts = [ready.events for ready in commands]
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
        for events, position, version in zip(counts, positions, versions, strict=True)
    ]
