"""Other event stores at the same work, on the same server, at 1, 16 and 64 writers.

`eventsourcing` (with its database functions) and Emmett, installed from their
registries into folders of their own. Each writer appends one event at a time to a
stream of its own, at the version it has seen. Catch-up: one projection counts every
event into a table, its position in the same transaction.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from services.handling import Handler
from tests.bench.commands import laned
from tests.bench.measuring import (
    Bar,
    Contender,
    Figure,
    Sample,
    interleaved,
    median,
    rates,
)
from tests.bench.projecting import COUNTING, numbered, projected
from tests.bench.server import (
    ROOT,
    Bench,
    FailedError,
    Place,
    answer_of,
    environment,
    libpq,
)
from tests.bench.workload import BACKGROUND, conversations, fill


ROW: Final = "others"
WRITERS: Final = (1, 16, 64)
EVENTS: Final = 50_000
PACKAGES: Final = ("eventsourcing[postgres]==9.5.6", "psycopg[binary]==3.3.9")
MODULES: Final = (
    "@event-driven-io/emmett@0.42.0",
    "@event-driven-io/emmett-postgresql@0.42.0",
)
FOLDER: Final = ROOT / "build" / "bench"
PEERS: Final = Path(__file__).parent / "peers"
APPENDS: Final = Bar(least=8.0, ratio=True)
CATCH_UP: Final = Bar(least=25.0, ratio=True)

Command = Sequence[str | Path]


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    figures: list[Figure] = []
    for name, install in (
        ("eventsourcing", eventsourcing),
        ("emmett-postgresql", emmett),
    ):
        async with bench.database(ROW) as place, place.core() as parts:
            command = await install(place)
            if isinstance(command, str):
                figures.append(
                    Figure(
                        row=ROW, what=name, unit="/s", note=f"not measured: {command}"
                    )
                )
                continue
            figures += [
                await appends(bench, parts.handler, name, command, writers)
                for writers in WRITERS
            ]
            await fill(parts.log, conversations(EVENTS))
            figures.append(await catch_up(bench, place, name, command))
    return figures


async def appends(
    bench: Bench, handler: Handler, name: str, command: Command, writers: int
) -> Figure:
    """Return appends a second, beside those of another."""
    samples = await interleaved(
        bench.rounds,
        {
            "ours": await laned(handler, f"writers-{writers}", writers, bench.seconds),
            "theirs": running(command, writers, bench.seconds),
        },
    )
    ours, theirs = rates(samples["ours"]), rates(samples["theirs"])
    return Figure(
        row=ROW,
        what=f"commands at {writers} writer{'s' if writers > 1 else ''}",
        unit="/s",
        value=median(ours),
        rounds=ours,
        against=name,
        peer=median(theirs),
        peer_rounds=theirs,
        bar=APPENDS if writers == max(WRITERS) else None,
    )


async def catch_up(bench: Bench, place: Place, name: str, command: Command) -> Figure:
    """Return events projected a second, beside those of another."""

    async def project(number: int) -> Sample:
        return await projected(place, numbered(COUNTING, number))

    once = running(command, 0, bench.seconds)
    samples = await interleaved(bench.rounds, {"ours": project, "theirs": once})
    ours, theirs = rates(samples["ours"]), rates(samples["theirs"])
    return Figure(
        row=ROW,
        what="catch-up, exactly once",
        unit=" events/s",
        value=median(ours),
        rounds=ours,
        against=name,
        peer=median(theirs),
        peer_rounds=theirs,
        bar=CATCH_UP,
    )


def running(command: Command, writers: int, seconds: float) -> Contender:
    """Return what runs another's program."""

    async def contend(_round: int) -> Sample:
        printed = await answer_of(
            [
                *command,
                *("--writers", str(writers), "--seconds", str(seconds)),
                *("--text", BACKGROUND),
            ],
            environment(),
        )
        sample = msgspec.json.decode(printed.splitlines()[-1], type=Sample)
        if not sample.done:
            message = f"{command[1]} did nothing: {printed}"
            raise FailedError(message)
        return sample

    return contend


async def eventsourcing(place: Place) -> Command | str:
    """Install the Python peer; return its command line, or why there is none."""
    folder = FOLDER / "python"
    program = folder / "bin" / "python"
    if not (folder / "installed").exists():
        why = await attempted(
            [sys.executable, "-m", "venv", folder],
            [program, "-m", "pip", "install", "--quiet", *PACKAGES],
        )
        if why is not None:
            return why
        (folder / "installed").touch()
    where = json.dumps(libpq(place.database.superuser))
    return [program, PEERS / "eventsourcing_peer.py", "--postgres", where]


async def emmett(place: Place) -> Command | str:
    """Install the JavaScript peer; return its command line, or why there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "there is no node"
    folder = FOLDER / "node"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        why = await attempted(
            [
                *(npm, "install", "--prefix", folder),
                *("--no-audit", "--no-fund", "--silent", *MODULES),
            ]
        )
        if why is not None:
            return why
        (folder / "installed").touch()
    program = folder / "emmett_peer.mjs"
    shutil.copyfile(PEERS / "emmett_peer.mjs", program)
    return [node, program, "--postgres", url(libpq(place.database.superuser))]


async def attempted(*commands: Command) -> str | None:
    """Run programs that need a registry; return why one failed."""
    for command in commands:
        try:
            await answer_of(command, environment())
        except (FailedError, OSError, TimeoutError) as error:
            return f"it could not be installed: {str(error).splitlines()[-1]}"
    return None


def url(place: Mapping[str, str]) -> str:
    """Return an address in the form that drivers of JavaScript take."""
    login = f"{place['PGUSER']}:{quote(place.get('PGPASSWORD', ''), safe='')}"
    host = quote(place["PGHOST"], safe="")
    return f"postgresql://{login}@localhost:{place['PGPORT']}/{place['PGDATABASE']}" + (
        f"?host={host}" if place["PGHOST"].startswith("/") else ""
    )
