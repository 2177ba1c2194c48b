"""Bulk append, as imports do it, against binary COPY into the same table.

Ours: events encoded, judged, numbered, hashed, chained and committed, a few thousand a
call. Theirs: rows that are ready, copied into a table with the same columns and
indexes, as many a transaction.
"""

from collections.abc import Iterator
from itertools import count
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from events.conversation import MessageAdded
from events.log import ANY, Append, Write
from tests.bench.measuring import (
    Bar,
    Figure,
    Sample,
    interleaved,
    median,
    rates,
)
from tests.bench.server import Bench
from tests.bench.workload import (
    BACKGROUND,
    COLUMNS,
    PLAIN_TABLE,
    meta,
    persona_id,
    row_of,
)


ROW: Final = "bulk"
COMMANDS: Final = 1_000
EVENTS: Final = 5  # of each command


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    chunks = numbers()
    async with (
        bench.database(ROW) as place,
        place.core() as parts,
        place.superuser() as connection,
    ):
        await connection.execute(PLAIN_TABLE)
        copied = count()

        async def append(_round: int) -> Sample:
            done, spent = 0, 0.0
            while spent < bench.seconds:
                entries = [conversation(name) for name in next(chunks)]
                began = perf_counter()
                await parts.log.append_bulk(entries)
                spent += perf_counter() - began
                done += len(entries) * EVENTS
            return Sample(done=done, seconds=spent)

        async def copy(_round: int) -> Sample:
            done, spent = 0, 0.0
            while spent < bench.seconds:
                rows = rows_of(next(chunks), next(copied))
                began = perf_counter()
                await connection.copy_records_to_table(
                    "events", schema_name="bench", records=rows, columns=COLUMNS
                )
                spent += perf_counter() - began
                done += len(rows)
            return Sample(done=done, seconds=spent)

        samples = await interleaved(bench.rounds, {"append": append, "copy": copy})
    ours, theirs = rates(samples["append"]), rates(samples["copy"])
    return [
        Figure(
            row=ROW,
            what=f"bulk append, {COMMANDS * EVENTS:,} events a call",
            unit=" events/s",
            value=median(ours),
            rounds=ours,
            against="binary COPY of ready rows into the same table",
            peer=median(theirs),
            peer_rounds=theirs,
            bar=Bar(least=0.5, ratio=True),
        )
    ]


def numbers() -> Iterator[range]:
    """Yield the numbers of the conversations of each call."""
    for start in count(0, COMMANDS):
        yield range(start, start + COMMANDS)


def message(conversation_id: UUID, seq: int) -> MessageAdded:
    """Return an entry of a conversation."""
    return MessageAdded(
        conversation_id=conversation_id,
        seq=seq,
        role="user" if seq % 2 else "assistant",
        text=f"{BACKGROUND}, {seq}.",
    )


def conversation(number: int) -> Append:
    """Return the append of a short conversation."""
    conversation_id = persona_id(f"bulk {number}")
    return Append(
        meta=meta(),
        body_hash=bytes(32),
        writes=(
            Write(
                stream_id=f"testing.trial-{conversation_id}",
                events=tuple(
                    message(conversation_id, seq) for seq in range(1, EVENTS + 1)
                ),
                expected=ANY,
            ),
        ),
    )


def rows_of(conversations: range, chunk: int) -> list[tuple[Any, ...]]:
    """Return the rows of conversations, with positions that follow on."""
    rows: list[tuple[Any, ...]] = []
    position = chunk * COMMANDS * EVENTS
    for number in conversations:
        conversation_id = persona_id(f"bulk {number}")
        for seq in range(1, EVENTS + 1):
            position += 1
            rows.append(
                row_of(
                    position,
                    f"testing.trial-{conversation_id}",
                    seq,
                    message(conversation_id, seq),
                )
            )
    return rows
