"""What every event log promises; an adapter's tests subclass `EventLogContract`.

The subclass's module offers the fixtures `log` and `blobs`. The log need not be empty:
each test uses streams and commands of its own and looks only above the head it found.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec
import pytest

from events import catalogue
from events.conversation import MessageAdded
from events.errors import Malformed, Missing, Refused
from events.ids import SubjectId
from events.log import (
    ABSENT,
    PAGE,
    PRESENT,
    Append,
    Blobs,
    EventLog,
    Status,
    Told,
    Verdict,
    stream_pages,
)
from events.message import ERASED, Event, Meta, Recorded
from events.packing import packed
from infra.postgres.hashing import HASHED, chain, event_hash, slice_of
from tests.builders import (
    BODY,
    MOMENT,
    ORG,
    OTHER_BODY,
    OTHER_ORG,
    entry,
    new_id,
    new_stream,
    said,
    told,
    write,
)
from tests.suites.vault import ErasingVault


PATIENCE: Final = 20


ODD: Final = (
    "",
    " ",
    "NULL",
    '"',
    "\\",
    '\\"',
    "{a,b}",
    "two\nlines",
    "\r\n\t",
    "',$1",
    "Grüße, 你好 🙂",
)


async def everything_after(
    log: EventLog, position: int, *, page: int = 1000
) -> list[Recorded[Event]]:
    """Read pages until one is empty."""
    found: list[Recorded[Event]] = []
    while batch := await log.read(position, page):
        found.extend(batch)
        position = batch[-1].position
    return found


def statuses(verdicts: Sequence[Verdict]) -> list[Status]:
    return [verdict.status for verdict in verdicts]


def as_duplicate(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(verdict, status=Status.DUPLICATE)


def texts(events: Sequence[Recorded[Event]]) -> list[str]:
    return [str(getattr(recorded.event, "text", None)) for recorded in events]


def columns(recorded: Recorded[Event]) -> dict[str, object]:
    """Return what the log stores of an event that is not sealed."""
    return {
        **{name: getattr(recorded, name, None) for name in HASHED},
        "slice": slice_of(recorded.stream_id),
        "data": catalogue.encode(recorded.event).decode(),
        "headers": msgspec.json.encode(recorded.headers).decode()
        if recorded.headers
        else None,
    }


def confided(text: str, subject_id: SubjectId) -> MessageAdded:
    return msgspec.structs.replace(said(text), subject_id=subject_id)


class EventLogContract:
    """The promises at the head of `events.log`, one sentence each."""

    # Order

    async def test_positions_and_versions_have_no_gaps(self, log: EventLog) -> None:
        start = (await log.head()).position
        one, two = new_stream(), new_stream()
        await log.append(told(one, "a", "b"))
        await log.append(told(two, "c"))
        await log.append(told(one, "d"))

        events = await log.read(start)

        assert [(e.position, e.stream_id, e.version) for e in events] == [
            (start + 1, one, 1),
            (start + 2, one, 2),
            (start + 3, two, 1),
            (start + 4, one, 3),
        ]
        assert texts(events) == ["a", "b", "c", "d"]
        assert len({e.event_id for e in events}) == 4

    async def test_an_answer_holds_position_version_and_count(
        self, log: EventLog
    ) -> None:
        start = (await log.head()).position
        one, two = new_stream(), new_stream()
        await log.append(told(one, "a"))

        verdict = await log.append(
            entry(write(one, said("b")), write(two, said("c"), said("d")))
        )

        assert verdict.status is Status.OK
        assert (verdict.position, verdict.version, verdict.events) == (start + 4, 2, 3)
        assert verdict.recorded_at == (await log.read(start))[-1].recorded_at

    async def test_an_event_is_read_as_it_was_written(self, log: EventLog) -> None:
        start = (await log.head()).position
        envelope = Meta(
            command_id=new_id(),
            org_id=ORG,
            region="ap-south",
            actor="service:importer",
            correlation_id=new_id(),
            causation_id=new_id(),
            occurred_at=MOMENT,
            ip="2001:db8::7",
            headers={"traceparent": "00-ab-cd-01", "quoted": 'a "b" \\ c'},
        )
        event = said(
            'Grüße, 你好 🙂 "quoted" \\ back\n\ttab \u2028 \x7f' + "x" * 200_000
        )
        stream = new_stream()
        await log.append(
            Append(meta=envelope, body_hash=BODY, writes=(write(stream, event),))
        )

        (found,) = await log.read(start)

        assert found.event == event
        assert found.stream_id == stream
        assert (found.org_id, found.region) == (ORG, "ap-south")
        assert (found.actor, found.ip) == ("service:importer", "2001:db8::7")
        assert found.command_id == envelope.command_id
        assert found.correlation_id == envelope.correlation_id
        assert found.causation_id == envelope.causation_id
        assert found.occurred_at == MOMENT
        assert found.headers == envelope.headers

    @pytest.mark.parametrize("bulk", [False, True])
    async def test_any_text_comes_back_as_it_was(
        self, log: EventLog, *, bulk: bool
    ) -> None:
        start = (await log.head()).position
        asked = [
            Append(
                meta=Meta(
                    command_id=new_id(),
                    org_id=f"org {text}",
                    region=f"region {text}",
                    actor=f"user:{text}",
                    correlation_id=new_id(),
                    causation_id=new_id() if place % 2 else None,
                    occurred_at=MOMENT - place * timedelta(microseconds=1),
                    ip=text if place % 3 else None,
                    headers={"tracestate": text} if place % 2 else {},
                ),
                body_hash=BODY,
                writes=(write(f"{new_stream()} {text}", *map(said, text or "-")),),
            )
            for place, text in enumerate(ODD)
        ]

        if bulk:
            await log.append_bulk(asked)
        else:
            await asyncio.gather(*map(log.append, asked))

        found = {each.command_id: each for each in await log.read(start)}
        for each in asked:
            given, kept = each.meta, found[each.meta.command_id]
            assert kept.stream_id == each.writes[0].stream_id
            assert kept.event == each.writes[0].events[-1]
            assert (kept.org_id, kept.region) == (given.org_id, given.region)
            assert (kept.actor, kept.ip) == (given.actor, given.ip)
            assert kept.correlation_id == given.correlation_id
            assert kept.causation_id == given.causation_id
            assert kept.occurred_at == given.occurred_at
            assert (kept.headers or {}) == given.headers

    async def test_what_the_envelope_leaves_out_is_none(self, log: EventLog) -> None:
        start = (await log.head()).position
        await log.append(told(new_stream(), "a"))

        (found,) = await log.read(start)

        assert found.causation_id is None
        assert found.ip is None
        assert not found.headers

    async def test_reading_is_bounded_and_ends_at_the_head(self, log: EventLog) -> None:
        start = (await log.head()).position
        await log.append(told(new_stream(), *"abcdefg"))

        assert texts(await log.read(start, 3)) == ["a", "b", "c"]
        assert texts(await log.read(start + 5, 3)) == ["f", "g"]
        assert list(await log.read(start + 7)) == []
        assert texts(await everything_after(log, start, page=2)) == list("abcdefg")
        assert (await log.head()).position == start + 7

    async def test_a_command_may_hold_many_events(self, log: EventLog) -> None:
        start = (await log.head()).position
        stream = new_stream()
        verdict = await log.append(told(stream, *(str(n) for n in range(3000))))

        events = await everything_after(log, start)

        assert (verdict.events, verdict.version) == (3000, 3000)
        assert texts(events) == [str(n) for n in range(3000)]
        assert [e.version for e in events] == list(range(1, 3001))

    async def test_readers_see_a_dense_order_while_many_write(
        self, log: EventLog
    ) -> None:
        start = (await log.head()).position
        streams = [new_stream() for _ in range(7)]
        wanted = 300

        async def follow(page: int) -> list[Recorded[Event]]:
            seen: list[Recorded[Event]] = []
            at = start
            while len(seen) < wanted:
                await log.wait(at, seconds=PATIENCE)
                batch = await log.read(at, page)
                seen.extend(batch)
                at += len(batch)
            return seen

        async with asyncio.timeout(PATIENCE):
            readers = [asyncio.create_task(follow(page)) for page in (1, 13, 1000)]
            await asyncio.gather(
                *(
                    log.append(
                        entry(
                            write(streams[n % 7], said("x")),
                            write(streams[(n + 3) % 7], said("y")),
                        )
                    )
                    for n in range(wanted // 2)
                )
            )
            first, *others = [await reader for reader in readers]

        assert [e.position for e in first] == list(range(start + 1, start + 301))
        assert all(other == first for other in others)
        for stream in streams:
            versions = [e.version for e in first if e.stream_id == stream]
            assert versions == list(range(1, len(versions) + 1))

    async def test_recorded_times_never_go_back(self, log: EventLog) -> None:
        start = (await log.head()).position
        await asyncio.gather(*(log.append(told(new_stream(), "a")) for _ in range(50)))

        times = [e.recorded_at for e in await everything_after(log, start)]

        assert times == sorted(times)
        assert all(time.utcoffset() == timedelta() for time in times)
        assert (await log.head()).recorded_at == times[-1]

    async def test_who_sends_is_told_what_append_would_answer(
        self, log: EventLog
    ) -> None:
        one, two = new_stream(), new_stream()
        first = told(one, "a")
        asked = [
            first,
            told(two, "b"),
            told(one, "late", expected=7),
            first,
            told(two, "not \ud800 text"),
        ]
        answers: list[tuple[int, Verdict | Exception]] = []
        done = asyncio.Event()

        def listener(place: int) -> Told:
            def listen(answer: Verdict | Exception) -> None:
                answers.append((place, answer))
                if len(answers) == len(asked):
                    done.set()

            return listen

        log.send([(each, listener(place)) for place, each in enumerate(asked)])
        assert not answers
        async with asyncio.timeout(PATIENCE):
            await done.wait()

        by_place = dict(answers)
        assert len(by_place) == len(asked)
        *verdicts, failure = (by_place[place] for place in range(len(asked)))
        assert [getattr(each, "status", None) for each in verdicts] == [
            Status.OK,
            Status.OK,
            Status.CONFLICT,
            Status.DUPLICATE,
        ]
        assert isinstance(failure, Malformed)
        assert texts((await log.read_stream(one)).events) == ["a"]
        assert texts((await log.read_stream(two)).events) == ["b"]

    # Once

    async def test_a_repeated_command_gets_its_recorded_outcome(
        self, log: EventLog
    ) -> None:
        stream = new_stream()
        command = told(stream, "a", "b", expected=ABSENT)
        first = await log.append(command)
        await log.append(told(stream, "c"))
        head = await log.head()

        again = await log.append(command)

        assert again == as_duplicate(first)
        assert await log.head() == head

    async def test_a_reused_id_with_another_body_is_a_mismatch(
        self, log: EventLog
    ) -> None:
        stream, command_id = new_stream(), new_id()
        await log.append(entry(write(stream, said("a")), command_id=command_id))
        head = await log.head()

        verdict = await log.append(
            entry(write(stream, said("b")), command_id=command_id, body_hash=OTHER_BODY)
        )

        assert verdict.status is Status.MISMATCH
        assert await log.head() == head

    async def test_a_command_id_belongs_to_its_organisation(
        self, log: EventLog
    ) -> None:
        command_id = new_id()
        mine = entry(write(new_stream(), said("a")), command_id=command_id)
        theirs = entry(
            write(new_stream(), said("a")),
            command_id=command_id,
            org_id=OTHER_ORG,
            body_hash=OTHER_BODY,
        )

        assert (await log.append(mine)).status is Status.OK
        assert (await log.append(theirs)).status is Status.OK
        assert (await log.append(mine)).status is Status.DUPLICATE

    async def test_concurrent_duplicates_take_effect_once(self, log: EventLog) -> None:
        start = (await log.head()).position
        command = told(new_stream(), "a", "b")

        verdicts = await asyncio.gather(*(log.append(command) for _ in range(30)))

        assert sorted(statuses(verdicts)) == [Status.DUPLICATE] * 29 + [Status.OK]
        assert {(v.position, v.version, v.events, v.receipt) for v in verdicts} == {
            (start + 2, 2, 2, verdicts[0].receipt)
        }
        assert texts(await log.read(start)) == ["a", "b"]

    async def test_one_of_concurrent_bodies_under_one_id_wins(
        self, log: EventLog
    ) -> None:
        start = (await log.head()).position
        stream, command_id = new_stream(), new_id()
        bodies = [bytes([n]) * 32 for n in range(10)]

        verdicts = await asyncio.gather(
            *(
                log.append(
                    entry(
                        write(stream, said("a")), command_id=command_id, body_hash=body
                    )
                )
                for body in bodies
            )
        )

        assert sorted(statuses(verdicts)) == [Status.MISMATCH] * 9 + [Status.OK]
        assert len(await log.read(start)) == 1

    async def test_outcomes_of_accepted_commands_can_be_asked_for(
        self, log: EventLog
    ) -> None:
        one, two = told(new_stream(), "a", "b"), entry()
        first, second = await log.append(one), await log.append(two)
        await log.append(told(new_stream(), "c"))
        asked = [
            (new_id(), BODY),
            (two.meta.command_id, BODY),
            (one.meta.command_id, BODY),
            (one.meta.command_id, OTHER_BODY),
            (one.meta.command_id, BODY),
        ]

        unknown, again, known, other, repeated = await log.outcomes(ORG, asked)

        assert unknown is None
        assert known == repeated == as_duplicate(first)
        assert again == as_duplicate(second)
        assert other is not None
        assert other.status is Status.MISMATCH
        assert list(await log.outcomes(OTHER_ORG, asked)) == [None] * 5
        assert list(await log.outcomes(ORG, [])) == []

    async def test_a_command_without_events_is_recorded(self, log: EventLog) -> None:
        await log.append(told(new_stream(), "a"))
        head = await log.head()
        command = entry()

        first = await log.append(command)

        assert (first.status, first.events, first.version) == (Status.OK, 0, 0)
        assert first.position == head.position
        assert first.receipt == f"{head.position}-{head.chain.hex()}"
        assert await log.head() == head
        await log.append(told(new_stream(), "b"))
        assert await log.append(command) == as_duplicate(first)

    async def test_a_command_that_lost_may_be_tried_again(self, log: EventLog) -> None:
        stream, command_id = new_stream(), new_id()
        lost = await log.append(
            entry(write(stream, said("a"), expected=PRESENT), command_id=command_id)
        )

        assert lost.status is Status.CONFLICT
        assert list(await log.outcomes(ORG, [(command_id, BODY)])) == [None]
        won = await log.append(
            entry(
                write(stream, said("a"), expected=ABSENT),
                command_id=command_id,
                body_hash=OTHER_BODY,
            )
        )
        assert won.status is Status.OK

    # Whole

    async def test_writes_to_several_streams_happen_together(
        self, log: EventLog
    ) -> None:
        start = (await log.head()).position
        one, two, three = new_stream(), new_stream(), new_stream()
        verdict = await log.append(
            entry(
                write(one, said("a"), expected=ABSENT),
                write(two, said("b"), said("c"), expected=ABSENT),
                write(three, said("d")),
            )
        )

        events = await log.read(start)

        assert verdict.status is Status.OK
        assert [(e.stream_id, e.version) for e in events] == [
            (one, 1),
            (two, 1),
            (two, 2),
            (three, 1),
        ]
        assert {e.command_id for e in events} == {events[0].command_id}

    async def test_one_stream_in_the_way_holds_back_all_writes(
        self, log: EventLog
    ) -> None:
        one, two, three = new_stream(), new_stream(), new_stream()
        await log.append(told(two, "a", "b"))
        head = await log.head()

        verdict = await log.append(
            entry(
                write(one, said("c"), expected=ABSENT),
                write(two, said("d"), expected=1),
                write(three, said("e"), expected=ABSENT),
            )
        )

        assert verdict.status is Status.CONFLICT
        assert (verdict.stream_id, verdict.version) == (two, 2)
        assert await log.head() == head
        assert (await log.read_stream(one)).version == 0
        assert (await log.read_stream(three)).version == 0

    @pytest.mark.parametrize(
        ("existing", "expected", "accepted"),
        [
            (0, ABSENT, 1),
            (2, ABSENT, 0),
            (0, PRESENT, 0),
            (2, PRESENT, 1),
            (0, 1, 0),
            (2, 1, 0),
            (2, 2, 1),
            (2, 3, 0),
            (0, -1, 1),
            (2, -1, 1),
        ],
    )
    @pytest.mark.parametrize("events", [0, 1])
    async def test_each_expectation_holds_for_writes_and_for_checks(
        self, log: EventLog, existing: int, expected: int, accepted: int, events: int
    ) -> None:
        stream, other = new_stream(), new_stream()
        if existing:
            await log.append(told(stream, *"ab"))
        facts = [said("c")] * events

        verdict = await log.append(
            entry(write(stream, *facts, expected=expected), write(other, said("d")))
        )

        if accepted:
            assert verdict.status is Status.OK
            assert verdict.version == existing + events
        else:
            assert verdict.status is Status.CONFLICT
            assert (verdict.stream_id, verdict.version) == (stream, existing)
        assert (await log.read_stream(stream)).version == existing + events * accepted
        assert (await log.read_stream(other)).version == accepted

    async def test_a_check_makes_no_stream(self, log: EventLog) -> None:
        stream = new_stream()
        await log.append(entry(write(stream), write(new_stream(), said("a"))))

        assert (await log.read_stream(stream)).org_id is None
        verdict = await log.append(
            entry(write(stream, said("b"), expected=ABSENT), org_id=OTHER_ORG)
        )
        assert verdict.status is Status.OK

    async def test_one_writer_wins_and_its_neighbours_are_unharmed(
        self, log: EventLog
    ) -> None:
        start = (await log.head()).position
        contested = new_stream()
        rivals = [told(contested, f"rival {n}", expected=ABSENT) for n in range(40)]
        neighbours = [told(new_stream(), f"{n}", expected=ABSENT) for n in range(40)]
        mixed = [
            command for pair in zip(rivals, neighbours, strict=True) for command in pair
        ]

        verdicts = await asyncio.gather(*map(log.append, mixed))

        assert sorted(statuses(verdicts[::2])) == [Status.CONFLICT] * 39 + [Status.OK]
        assert statuses(verdicts[1::2]) == [Status.OK] * 40
        assert {
            (v.stream_id, v.version) for v in verdicts if v.status is Status.CONFLICT
        } == {(contested, 1)}
        assert len(await log.read(start)) == 41

    async def test_what_cannot_be_stored_harms_no_neighbour(
        self, log: EventLog
    ) -> None:
        bad = told(new_stream(), "half of \ud83d a character")
        commands = [told(new_stream(), "a"), bad, told(new_stream(), "b")]

        results = await asyncio.gather(
            *map(log.append, commands), return_exceptions=True
        )

        assert isinstance(results[1], Malformed)
        for result in (results[0], results[2]):
            assert isinstance(result, Verdict)
            assert result.status is Status.OK
        with pytest.raises(Malformed):
            await log.append_bulk([told(new_stream(), "c"), bad])
        assert list(await log.outcomes(ORG, [(bad.meta.command_id, BODY)])) == [None]

    async def test_a_command_that_names_a_stream_twice_is_a_defect(
        self, log: EventLog
    ) -> None:
        stream = new_stream()
        twice = entry(write(stream, said("a")), write(stream, said("b")))

        with pytest.raises(ValueError, match="each stream at most once"):
            await log.append(twice)
        with pytest.raises(ValueError, match="each stream at most once"):
            await log.append_bulk([twice])
        assert (await log.read_stream(stream)).version == 0

    async def test_concurrent_writers_of_one_stream_all_get_a_version(
        self, log: EventLog
    ) -> None:
        stream = new_stream()

        verdicts = await asyncio.gather(
            *(log.append(told(stream, str(n))) for n in range(60))
        )

        assert sorted(v.version for v in verdicts) == list(range(1, 61))
        by_version = sorted(verdicts, key=lambda v: v.version)
        positions = [v.position for v in by_version]
        assert positions == sorted(positions)
        assert [e.version for e in (await log.read_stream(stream)).events] == list(
            range(1, 61)
        )

    async def test_a_stream_belongs_to_the_organisation_that_made_it(
        self, log: EventLog
    ) -> None:
        stream = new_stream()
        await log.append(told(stream, "a"))

        for events in ((said("b"),), ()):
            verdict = await log.append(
                entry(
                    write(stream, *events),
                    write(new_stream(), said("c")),
                    org_id=OTHER_ORG,
                )
            )
            assert verdict.status is Status.CONFLICT
            assert (verdict.stream_id, verdict.version) == (stream, 1)

        found = await log.read_stream(stream)
        assert (found.version, found.org_id) == (1, ORG)

    async def test_a_closed_stream_takes_no_more_events(self, log: EventLog) -> None:
        stream, other = new_stream(), new_stream()
        closing = entry(write(stream, said("a"), said("b"), closes=True))
        assert (await log.append(closing)).status is Status.OK
        head = await log.head()

        verdict = await log.append(
            entry(write(other, said("c")), write(stream, said("d")))
        )

        assert verdict.status is Status.CLOSED
        assert verdict.stream_id == stream
        assert await log.head() == head
        assert texts((await log.read_stream(stream)).events) == ["a", "b"]
        assert (await log.append(closing)).status is Status.DUPLICATE

    async def test_a_cancelled_append_breaks_no_other(self, log: EventLog) -> None:
        commands = [told(new_stream(), str(n)) for n in range(60)]
        tasks = [asyncio.create_task(log.append(command)) for command in commands]
        for task in tasks[::3]:
            await asyncio.sleep(0)
            task.cancel()

        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*tasks, return_exceptions=True)
            again = await asyncio.gather(*map(log.append, commands))

        kept = [r for n, r in enumerate(results) if n % 3]
        assert all(isinstance(r, Verdict) and r.status is Status.OK for r in kept)
        assert {v.status for v in again} <= {Status.OK, Status.DUPLICATE}
        for command in commands:
            stream = await log.read_stream(command.writes[0].stream_id)
            assert stream.version == 1

    # Receipts

    async def test_a_receipt_is_the_head_and_chain_after_the_commit(
        self, log: EventLog
    ) -> None:
        before = await log.head()
        verdict = await log.append(told(new_stream(), "a", "b"))
        after = await log.head()

        assert verdict.receipt == f"{after.position}-{after.chain.hex()}"
        assert len(after.chain) == 32
        assert after.chain != before.chain

    async def test_the_chain_covers_every_event_and_every_commit(
        self, log: EventLog
    ) -> None:
        head = await log.head()
        stream = new_stream()
        closing = entry(
            write(stream, said("c"), expected=2, closes=True),
            write(new_stream(), said("Ü 🙂")),
        )
        commits = [
            (await log.append(told(stream, "a"))).events,
            (await log.append(told(stream, "b", expected=1))).events,
            (await log.append(entry())).events,
            (await log.append(closing)).events,
            sum(
                verdict.events
                for verdict in await log.append_bulk(
                    [told(new_stream(), "d", "e"), told(new_stream(), "f")]
                )
            ),
        ]

        hashes = [event_hash(columns(e)) for e in await log.read(head.position)]
        expected = head.chain
        for size in filter(None, commits):
            expected = chain(expected, hashes[:size])
            hashes = hashes[size:]

        assert hashes == []
        assert (await log.head()).chain == expected

    async def test_receipts_agree_on_one_chain(self, log: EventLog) -> None:
        start = (await log.head()).position
        verdicts = await asyncio.gather(
            *(log.append(told(new_stream(), "a", "b")) for _ in range(50))
        )

        chains: dict[int, str] = {}
        for verdict in verdicts:
            position, _, chain = str(verdict.receipt).partition("-")
            assert int(position) >= verdict.position
            assert chains.setdefault(int(position), chain) == chain
        head = await log.head()
        assert len(set(chains.values())) == len(chains)
        assert max(chains) == head.position == start + 100
        assert chains[head.position] == head.chain.hex()

    # Bulk

    async def test_bulk_keeps_the_order_of_its_entries(self, log: EventLog) -> None:
        start = (await log.head()).position
        one, two = new_stream(), new_stream()
        verdicts = await log.append_bulk(
            [
                told(one, "a", "b", expected=ABSENT),
                entry(),
                told(two, "c", expected=ABSENT),
                entry(write(two, expected=1), write(one, said("d"), expected=2)),
                told(one, "e", expected=PRESENT),
            ]
        )

        events = await log.read(start)
        head = await log.head()

        assert statuses(verdicts) == [Status.OK] * 5
        assert [v.events for v in verdicts] == [2, 0, 1, 1, 1]
        assert [v.version for v in verdicts] == [2, 0, 1, 1, 4]
        assert [verdicts[n].position - start for n in (0, 2, 3, 4)] == [2, 3, 4, 5]
        assert texts(events) == ["a", "b", "c", "d", "e"]
        assert [e.version for e in events] == [1, 2, 1, 3, 4]
        assert {v.receipt for v in verdicts} == {f"{start + 5}-{head.chain.hex()}"}

    async def test_bulk_goes_on_where_streams_stand(self, log: EventLog) -> None:
        one, two = new_stream(), new_stream()
        await log.append(told(one, "a"))
        start = (await log.head()).position

        verdicts = await log.append_bulk(
            [
                entry(
                    write(one, said("b"), said("c"), expected=1),
                    write(two, said("d"), closes=True),
                ),
                entry(),
                told(new_stream(), "e", expected=ABSENT),
            ]
        )
        events = await log.read(start)
        late = await log.append_bulk([told(new_stream(), "f"), told(two, "g")])

        assert statuses(verdicts) == [Status.OK] * 3
        assert [v.version for v in verdicts] == [3, 0, 1]
        assert [v.position - start for v in verdicts] == [3, 4, 4]
        assert texts(events) == ["b", "c", "d", "e"]
        assert [e.version for e in events] == [2, 3, 1, 1]
        assert late[1].status is Status.CLOSED
        assert (await log.head()).position == start + 4

    @pytest.mark.parametrize("place", [0, 5])
    async def test_a_bulk_append_with_one_loser_appends_nothing(
        self, log: EventLog, place: int
    ) -> None:
        stream = new_stream()
        await log.append(told(stream, "a"))
        head = await log.head()
        good = [told(new_stream(), str(n)) for n in range(5)]
        bad = told(stream, "b", expected=ABSENT)

        verdicts = await log.append_bulk([*good[:place], bad, *good[place:]])

        loser = verdicts[place]
        assert loser.status is Status.CONFLICT
        assert (loser.stream_id, loser.version) == (stream, 1)
        assert statuses(verdicts).count(Status.CONFLICT) == 1
        assert await log.head() == head
        for command in good:
            assert list(await log.outcomes(ORG, [(command.meta.command_id, BODY)])) == [
                None
            ]
            assert (await log.read_stream(command.writes[0].stream_id)).version == 0

    async def test_bulk_skips_what_was_accepted_before(self, log: EventLog) -> None:
        commands = [told(new_stream(), str(n)) for n in range(4)]
        first = await log.append_bulk(commands[:3])
        start = (await log.head()).position

        second = await log.append_bulk(commands)
        third = await log.append_bulk(commands)

        assert statuses(first) == [Status.OK] * 3
        assert statuses(second) == [Status.DUPLICATE] * 3 + [Status.OK]
        assert [v.position for v in second] == [
            *(v.position for v in first),
            start + 1,
        ]
        assert statuses(third) == [Status.DUPLICATE] * 4
        assert (await log.head()).position == start + 1

    async def test_a_command_counts_once_in_a_bulk_append(self, log: EventLog) -> None:
        start = (await log.head()).position
        command = told(new_stream(), "a")

        verdicts = await log.append_bulk([command, told(new_stream(), "b"), command])

        assert statuses(verdicts) == [Status.OK, Status.OK, Status.DUPLICATE]
        assert verdicts[2].position == verdicts[0].position == start + 1
        assert (await log.head()).position == start + 2

    async def test_bulk_refuses_what_a_single_append_refuses(
        self, log: EventLog
    ) -> None:
        known, shut, theirs = told(new_stream(), "a"), new_stream(), new_stream()
        await log.append(known)
        await log.append(entry(write(theirs, said("a")), org_id=OTHER_ORG))
        head = await log.head()

        reused = msgspec.structs.replace(known, body_hash=OTHER_BODY)
        closing = entry(write(shut, said("a"), closes=True))
        for entries, status in (
            ([told(new_stream(), "b"), reused], Status.MISMATCH),
            ([closing, told(shut, "b")], Status.CLOSED),
            ([told(new_stream(), "b"), told(theirs, "b")], Status.CONFLICT),
        ):
            verdicts = await log.append_bulk(entries)
            assert verdicts[-1].status is status

        assert await log.head() == head
        assert (await log.append(told(shut, "b"))).status is Status.OK

    async def test_an_empty_bulk_append_does_nothing(self, log: EventLog) -> None:
        head = await log.head()

        assert list(await log.append_bulk([])) == []
        assert await log.head() == head

    async def test_bulk_and_single_appends_share_one_order(self, log: EventLog) -> None:
        start = (await log.head()).position
        shared = new_stream()
        batches = [[told(shared, f"bulk {b} {n}") for n in range(10)] for b in range(4)]
        singles = [told(shared, f"single {n}") for n in range(20)]

        await asyncio.gather(*map(log.append_bulk, batches), *map(log.append, singles))

        events = await everything_after(log, start)
        assert [e.version for e in events] == list(range(1, 61))
        for b in range(4):
            own = [e for e in events if str(texts([e])[0]).startswith(f"bulk {b} ")]
            assert texts(own) == [f"bulk {b} {n}" for n in range(10)]
            positions = [e.position for e in own]
            assert positions == list(range(positions[0], positions[0] + 10))

    # Streams and time

    async def test_a_stream_is_read_from_a_version_and_up_to_a_position(
        self, log: EventLog
    ) -> None:
        stream = new_stream()
        for text in "abc":
            await log.append(told(stream, text))
            await log.append(told(new_stream(), "other"))
        whole = await log.read_stream(stream)
        second = whole.events[1].position

        assert (whole.stream_id, whole.version, whole.org_id) == (stream, 3, ORG)
        assert texts(whole.events) == ["a", "b", "c"]
        assert texts((await log.read_stream(stream, after=1)).events) == ["b", "c"]
        assert list((await log.read_stream(stream, after=3)).events) == []
        as_of = await log.read_stream(stream, upto=second)
        assert (texts(as_of.events), as_of.version) == (["a", "b"], 3)
        assert texts((await log.read_stream(stream, upto=second + 1)).events) == [
            "a",
            "b",
        ]
        both = await log.read_stream(stream, after=1, upto=second)
        assert texts(both.events) == ["b"]
        some = await log.read_stream(stream, after=1, limit=1)
        assert (texts(some.events), some.version) == (["b"], 3)
        assert texts((await log.read_stream(stream, limit=9)).events) == ["a", "b", "c"]

    async def test_a_long_stream_is_read_in_pages(self, log: EventLog) -> None:
        stream, other = new_stream(), new_stream()
        await log.append_bulk([told(stream, *map(str, range(PAGE + 1)))])
        await log.append_bulk([told(other, *map(str, range(PAGE)))])

        async def read(name: str, upto: int | None = None) -> list[list[str]]:
            pages = stream_pages(log, name, upto=upto)
            return [texts(page.events) async for page in pages]

        whole = [str(n) for n in range(PAGE)]
        assert await read(stream) == [whole, [str(PAGE)]]
        assert await read(other) == [whole]
        assert await read(new_stream()) == [[]]
        (page,) = [page async for page in stream_pages(log, stream, after=PAGE)]
        (last,) = page.events
        assert (last.version, page.version) == (PAGE + 1, PAGE + 1)
        assert await read(stream, last.position - 1) == [whole, []]

    async def test_there_is_no_stream_before_its_first_event(
        self, log: EventLog
    ) -> None:
        name = new_stream()

        stream = await log.read_stream(name)

        assert (stream.stream_id, stream.version, stream.org_id) == (name, 0, None)
        assert list(stream.events) == []

    async def test_a_moment_is_a_position(self, log: EventLog) -> None:
        for text in "abcdef":
            await log.append(told(new_stream(), text))
        events = await everything_after(log, 0)
        tick = timedelta(microseconds=1)
        moments = [
            e.recorded_at + step
            for e in events[-6:]
            for step in (-tick, 0 * tick, tick)
        ]

        for moment in moments:
            before = [e.position for e in events if e.recorded_at <= moment]
            assert await log.position_at(moment) == max(before, default=0)
        assert await log.position_at(events[0].recorded_at - tick) == 0
        assert await log.position_at(events[-1].recorded_at + timedelta(days=1)) == (
            events[-1].position
        )

    # Waiting

    async def test_waiting_ends_with_the_next_append(self, log: EventLog) -> None:
        start = (await log.head()).position
        waiters = [
            asyncio.create_task(log.wait(start, seconds=3 * PATIENCE)) for _ in range(3)
        ]
        await asyncio.sleep(0)
        await log.append(told(new_stream(), "a"))

        async with asyncio.timeout(PATIENCE):
            reached = await asyncio.gather(*waiters)

        assert reached == [start + 1] * 3

    async def test_waiting_for_what_is_there_returns_at_once(
        self, log: EventLog
    ) -> None:
        await log.append(told(new_stream(), "a"))
        head = (await log.head()).position

        async with asyncio.timeout(PATIENCE):
            assert await log.wait(head - 1, seconds=3 * PATIENCE) == head

    async def test_waiting_in_vain_ends_in_time_at_the_head(
        self, log: EventLog
    ) -> None:
        head = (await log.head()).position

        assert await log.wait(head, seconds=0.02) == head

    # Blobs

    @pytest.mark.parametrize(
        "content",
        [b"", b"plain", bytes(range(256)) * 4096],
        ids=["empty", "text", "1M"],
    )
    async def test_a_blob_is_kept_under_its_sha256(
        self, blobs: Blobs, content: bytes
    ) -> None:
        name = await blobs.put(content, media_type="application/octet-stream")

        assert name == hashlib.sha256(content).hexdigest()
        assert await blobs.get(name) == content

    async def test_keeping_a_blob_twice_changes_nothing(self, blobs: Blobs) -> None:
        first = await blobs.put(b"twice", media_type="text/plain")
        names = await asyncio.gather(
            *(blobs.put(b"twice", media_type="text/html") for _ in range(10))
        )

        assert set(names) == {first}
        assert await blobs.get(first) == b"twice"

    async def test_packed_blobs_are_what_they_were(self, blobs: Blobs) -> None:
        contents = [b"", b"again and " * 10_000]
        bodies = [packed(each, media_type="text/plain") for each in contents]
        await blobs.put_packed(*bodies)

        assert [await blobs.get(body.sha256) for body in bodies] == contents
        assert await blobs.put(contents[1], media_type="x/y") == bodies[1].sha256

    async def test_packed_blobs_kept_at_once_in_any_order_are_kept_once(
        self, blobs: Blobs
    ) -> None:
        bodies = [packed(bytes([n]), media_type="x/y") for n in range(20)]
        await asyncio.gather(*(blobs.put_packed(*bodies[::way]) for way in (1, -1) * 5))

        assert [await blobs.get(body.sha256) for body in bodies] == [
            bytes([n]) for n in range(20)
        ]

    @pytest.mark.parametrize("name", ["0" * 64, "", "not a hash", "ab" * 31])
    async def test_an_unknown_blob_is_missing(self, blobs: Blobs, name: str) -> None:
        with pytest.raises(Missing):
            await blobs.get(name)


class SealedEventLogContract:
    """What a log promises of personal text; fixtures `sealing_log` and `vault`."""

    async def test_personal_text_is_sealed_and_opened_again(
        self, sealing_log: EventLog
    ) -> None:
        head = await sealing_log.head()
        stream, subject = new_stream(), SubjectId(new_id())
        facts = (said("open"), confided("secret", subject))
        await sealing_log.append(entry(write(stream, *facts)))

        found = await sealing_log.read(head.position)

        assert texts(found) == ["open", "secret"]
        assert texts((await sealing_log.read_stream(stream)).events) == [
            "open",
            "secret",
        ]
        hashes = [event_hash(columns(each)) for each in found]
        assert (await sealing_log.head()).chain != chain(head.chain, hashes)

    async def test_bulk_seals_too(self, sealing_log: EventLog) -> None:
        head = await sealing_log.head()
        subject = SubjectId(new_id())
        await sealing_log.append_bulk(
            [entry(write(new_stream(), confided("secret", subject)))]
        )

        found = await sealing_log.read(head.position)

        assert texts(found) == ["secret"]
        hashes = [event_hash(columns(each)) for each in found]
        assert (await sealing_log.head()).chain != chain(head.chain, hashes)

    async def test_what_is_sent_is_sealed_too(self, sealing_log: EventLog) -> None:
        head = await sealing_log.head()
        asked = [
            entry(write(new_stream(), confided("secret", SubjectId(new_id())))),
            told(new_stream(), "open"),
        ]
        answers: asyncio.Queue[Verdict | Exception] = asyncio.Queue()

        sealing_log.send([(each, answers.put_nowait) for each in asked])
        async with asyncio.timeout(PATIENCE):
            verdicts = [await answers.get() for _ in asked]

        assert {getattr(each, "status", each) for each in verdicts} == {Status.OK}
        found = await sealing_log.read(head.position)
        assert sorted(texts(found)) == ["open", "secret"]
        hashes = [event_hash(columns(each)) for each in found]
        assert (await sealing_log.head()).chain != chain(head.chain, hashes)

    async def test_an_erased_subjects_text_reads_as_erased(
        self, sealing_log: EventLog, vault: ErasingVault
    ) -> None:
        stream, gone, other = new_stream(), SubjectId(new_id()), SubjectId(new_id())
        facts = (said("open"), confided("gone", gone), confided("kept", other))
        await sealing_log.append(entry(write(stream, *facts)))
        head = await sealing_log.head()

        await vault.erase(ORG, gone)

        found = await sealing_log.read_stream(stream)
        assert texts(found.events) == ["open", ERASED, "kept"]
        assert await sealing_log.head() == head

    async def test_a_command_is_known_after_its_subject_was_erased(
        self, sealing_log: EventLog, vault: ErasingVault
    ) -> None:
        subject = SubjectId(new_id())
        command = entry(write(new_stream(), confided("a", subject)))
        first = await sealing_log.append(command)
        await vault.erase(ORG, subject)

        assert await sealing_log.append(command) == as_duplicate(first)
        assert list(await sealing_log.append_bulk([command])) == [as_duplicate(first)]

    async def test_nothing_more_is_stored_of_an_erased_subject(
        self, sealing_log: EventLog, vault: ErasingVault
    ) -> None:
        stream, subject = new_stream(), SubjectId(new_id())
        await vault.erase(ORG, subject)

        with pytest.raises(Refused):
            await sealing_log.append(entry(write(stream, confided("a", subject))))
        assert (await sealing_log.read_stream(stream)).version == 0
