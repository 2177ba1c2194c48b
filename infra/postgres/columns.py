"""Commands as the parallel arrays that `es.append_v1` and `es.append_bulk_v1` take."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from events.log import Append, Status, Verdict


ARGUMENTS: Final = (
    "$1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::uuid[], $6::uuid[], "
    "$7::text[], $8::text[], $9::timestamptz[], $10::text[], $11::uuid[], "
    "$12::bigint[], $13::integer[], $14::integer[], $15::integer[], $16::text[], "
    "$17::smallint[], $18::bigint[], $19::integer[], $20::boolean[], $21::integer[], "
    "$22::integer[], $23::uuid[], $24::text[], $25::uuid[]"
)
COMMAND_COLUMNS: Final = 14
WRITE_COLUMNS: Final = 6
EVENT_COLUMNS: Final = 5
NO_FENCE: Final = (None, None)

Fact = tuple[UUID, str, UUID | None]
Arguments = tuple[Sequence[Any] | None, ...]

_statuses: Final = {str(status): status for status in Status}


class Ready(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command whose events are sealed and encoded.

    `slices` and `facts` have an element for each write. `size` is that of the encoded
    events, in characters.
    """

    entry: Append
    slices: Sequence[int]
    facts: Sequence[Sequence[Fact]]
    headers: str | None
    size: int


def arguments(commands: Sequence[Ready]) -> Arguments:
    """Return the arrays of many commands, in order."""
    asked: list[tuple[Any, ...]] = []
    writes: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for place, ready in enumerate(commands, start=1):
        meta = ready.entry.meta
        first = len(writes) + 1 if ready.facts else 0
        count = 0
        for write, number, facts in zip(
            ready.entry.writes, ready.slices, ready.facts, strict=True
        ):
            writes.append(
                (
                    place,
                    write.stream_id,
                    number,
                    write.expected,
                    len(facts),
                    write.closes,
                )
            )
            count += len(facts)
            at = len(writes)
            for ordinal, fact in enumerate(facts, start=1):
                events.append((at, ordinal, *fact))
        asked.append(
            (
                meta.command_id,
                meta.org_id,
                ready.entry.body_hash,
                meta.region,
                meta.correlation_id,
                meta.causation_id,
                meta.actor,
                meta.ip,
                meta.occurred_at,
                ready.headers,
                *(meta.fence or NO_FENCE),
                first,
                count,
            )
        )
    return (
        *columns(asked, COMMAND_COLUMNS),
        *columns(writes, WRITE_COLUMNS),
        *columns(events, EVENT_COLUMNS),
    )


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> Arguments:
    """Return the columns of rows, None for one that holds nothing else."""
    if not rows:
        return ((),) * width
    return tuple(
        None if column.count(None) == len(rows) else column
        for column in zip(*rows, strict=True)
    )


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
