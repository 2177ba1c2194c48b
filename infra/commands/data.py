"""Commands that put data in and read it: import, send, sql, events."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from msgspec.structs import replace
from rich.table import Table as Grid

from events.catalogue import tag
from events.errors import Failure, Malformed
from events.ids import SubjectId
from events.message import Command, Event, Meta, Recorded
from infra.carrying import carrying
from infra.commands.shared import (
    FAILED,
    OK,
    OPERATOR,
    Broker,
    Where,
    Who,
    answer,
    progress,
    run,
    screen,
)
from infra.operations.importing import read
from infra.operations.querying import query
from infra.operations.republishing import republished
from infra.settings import Settings
from infra.wiring import caught_up, core, database, projecting
from services.access.readings import (
    MOST_SUBJECTS,
    UNNAMED,
    RecordReading,
    of_the_day,
)
from services.decoding import command_decoder, split_json
from services.handling import Handler
from services.outcome import Outcome
from services.personal import REASON_LENGTH, of_another, sealed
from services.routing import COMMANDS


COUNTED: Final = Number(gte=0, lt=1 << 63)
PLACED: Final = Number(gte=1, lt=1 << 63)

events: Final = App(name="events", help="Read the event log.")


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one command that was sent."""

    type: str
    status: str
    outcome: Outcome | None = None
    detail: str | None = None
    path: str | None = None


def send(
    file: Annotated[
        str,
        Parameter(
            help="A file of commands, or - for standard input.",
            allow_leading_hyphen=True,
        ),
    ],
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Send commands: one JSON object, an array of them, or one a line."""
    settings = where.settings()

    async def work() -> int:
        commands = parse(read(sys.stdin.buffer.read() if file == "-" else Path(file)))
        async with (
            database(settings) as urls,
            core(settings, urls, name="send") as parts,
            projecting(urls, parts),
        ):
            requests: list[tuple[Command, Meta]] = [
                (command, who.meta(settings)) for command in commands
            ]
            outcomes = await parts.handler.handle_bulk(requests)
            positions = [
                each.position for each in outcomes if isinstance(each, Outcome)
            ]
            await caught_up(urls, max(positions, default=0))
        sent = [
            _sent(command, outcome)
            for command, outcome in zip(commands, outcomes, strict=True)
        ]

        def show() -> None:
            for each in sent:
                position = each.outcome.position if each.outcome else each.detail
                screen.print(f"{each.type}: {each.status} {position}", highlight=False)

        answer(where, {"commands": sent}, show)
        return OK if all(each.outcome for each in sent) else FAILED

    return run(where, work)


def parse(content: bytes) -> list[Command]:
    """Return the commands that a file holds, in order.

    Raises `Malformed` that names the line or place of the first bad one.
    """
    stripped = content.strip()
    if stripped.startswith(b"["):
        raw = split_json(stripped)
    elif b"\n" in stripped and not _is_one(stripped):
        raw = [line for line in stripped.splitlines() if line.strip()]
    else:
        raw = [stripped]
    decode = command_decoder(COMMANDS.values())
    commands = []
    for number, each in enumerate(raw, start=1):
        try:
            commands.append(decode(each))
        except Failure as failure:
            message = f"Command {number}: {failure}"
            raise Malformed(message, path=failure.path) from failure
    return commands


def sql(
    schema: str,
    statement: str,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Read the tables of a schema with SQL, read-only and under the row policies."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls:
            result = await query(
                owner=urls.owner,
                reader=urls.reader,
                schema=schema,
                statement=statement,
                org_id=who.org,
            )

        def show() -> None:
            grid = Grid(*result.columns)
            for row in result.rows:
                grid.add_row(*(str(row[name]) for name in result.columns))
            screen.print(grid)

        answer(where, result, show)
        return OK

    return run(where, work)


@events.command(name="list")
def list_events(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    after: Annotated[
        int, Parameter(help="Begin after this position.", validator=COUNTED)
    ] = 0,
    limit: Annotated[
        int, Parameter(help="At most so many events.", validator=COUNTED)
    ] = 100,
    stream: Annotated[str | None, Parameter(help="Only this stream.")] = None,
    reason: Annotated[
        str | None,
        Parameter(help="Why personal text is to be shown by --json; it is recorded."),
    ] = None,
) -> int:
    """List events in log order; personal text reads [sealed] without a reason."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="events") as parts,
        ):
            if stream is None:
                found = list(await parts.log.read(after, limit))
            elif "\0" in stream:
                raise Malformed("No stream has a NUL in its name.", path="stream")
            else:
                read = await parts.log.read_stream(stream)
                found = [each for each in read.events if each.position > after][:limit]
            opened = where.json and reason is not None
            if opened:
                await _record(parts.handler, settings, found, reason or "", stream)
            else:
                found = [replace(each, event=sealed(each.event)) for each in found]

        def show() -> None:
            for each in found:
                screen.print(_line(each), highlight=False, markup=False)

        answer(where, {"events": found}, show)
        return OK

    return run(where, work)


@events.command
def republish(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    first: Annotated[
        int, Parameter(name="--from", help="The first position.", validator=PLACED)
    ],
    last: Annotated[
        int, Parameter(name="--to", help="The last position.", validator=PLACED)
    ],
    kind: Annotated[
        tuple[str, ...], Parameter(name="--type", help="Only this type; repeatable.")
    ] = (),
    broker: Broker = None,
) -> int:
    """Send events again to the exchange of events, marked as republished."""
    from infra.messaging import publishing  # noqa: PLC0415 - large, for this alone

    settings = where.settings(broker=broker)

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="republish") as parts,
            carrying(settings) as carrier,
            publishing(carrier) as outlet,
        ):
            with progress() as bar:
                shown = bar.add_task("events", total=max(0, last - first + 1))
                published = await republished(
                    parts.log,
                    outlet,
                    first=first,
                    last=last,
                    kinds=kind,
                    told=lambda done: bar.update(shown, completed=done),
                )

        def show() -> None:
            screen.print(f"{published} events published again", highlight=False)

        answer(where, {"from": first, "to": last, "published": published}, show)
        return OK

    return run(where, work)


async def _record(
    handler: Handler,
    settings: Settings,
    found: Sequence[Recorded[Event]],
    reason: str,
    stream: str | None,
) -> None:
    """Record in each organisation that personal text of its people is read."""
    if not reason.strip() or len(reason) > REASON_LENGTH:
        message = f"A reason has 1 to {REASON_LENGTH} characters."
        raise Malformed(message, path="reason")
    read: dict[str, list[Recorded[Event]]] = {}
    for recorded in found:
        if of_another(recorded, OPERATOR) is not None:
            read.setdefault(recorded.org_id, []).append(recorded)
    for org_id, theirs in read.items():
        whose = dict.fromkeys(of_another(each, OPERATOR) for each in theirs)
        subjects = [SubjectId(each) for each in whose if each is not None]
        for at in range(0, len(subjects), MOST_SUBJECTS):
            reading = RecordReading(
                reading_id=UNNAMED,
                reason=reason.strip(),
                source="command-line",
                stream_id=stream,
                first=theirs[0].position,
                last=theirs[-1].position,
                subject_ids=subjects[at : at + MOST_SUBJECTS],
            )
            meta = Who(org=org_id).meta(settings)
            await handler.handle(of_the_day(reading, meta), meta)


def _line(recorded: Recorded[Event]) -> str:
    return (
        f"{recorded.position:>8} {recorded.recorded_at:%H:%M:%S.%f} "
        f"{tag(type(recorded.event)):<34} {recorded.stream_id} v{recorded.version}"
    )


def _is_one(content: bytes) -> bool:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _sent(command: Command, outcome: Outcome | Failure) -> Sent:
    kind = tag(type(command))
    if isinstance(outcome, Outcome):
        return Sent(type=kind, status=outcome.status, outcome=outcome)
    return Sent(
        type=kind,
        status=type(outcome).__name__,
        detail=str(outcome),
        path=outcome.path,
    )
