"""Durable commands a second from one process, against single-row inserts by pgbench.

Ours: JSON decoded, permission checked, state folded, decided, expected version and
command id checked, hashed and chained, committed. Theirs: one prepared INSERT for each
transaction into a table with the same columns and indexes, on 32 connections.
"""

import re
import tempfile
from pathlib import Path
from typing import Final

from services.handling import Handler
from tests.bench.measuring import (
    WARM_UP,
    Bar,
    Contender,
    Figure,
    Sample,
    in_lanes,
    interleaved,
    median,
    percentiles,
    rates,
)
from tests.bench.server import (
    Bench,
    FailedError,
    Place,
    answer_of,
    environment,
    libpq,
)
from tests.bench.workload import (
    ACTOR,
    COLUMNS,
    ORG,
    PLAIN_TABLE,
    REGION,
    Lane,
    create_personas,
    handle,
    persona_id,
    version_of,
)


ROW: Final = "commands"
CONNECTIONS: Final = 32
_TPS: Final = re.compile(r"tps = ([0-9.]+) \(without initial")


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    async with bench.database(ROW) as place, place.core() as parts:
        inserts = await plain_inserts(bench, place)
        many = await laned(parts.handler, "many", 256, bench.seconds)
        few = await laned(parts.handler, "few", 64, bench.seconds)
        contenders: dict[str, Contender] = {"many": many, "few": few}
        if inserts is not None:
            contenders["pgbench"] = inserts
        samples = await interleaved(bench.rounds, contenders)
    ours, late = rates(samples["many"]), percentiles(samples["few"], 0.99)
    theirs = rates(samples.get("pgbench", ()))
    return [
        Figure(
            row=ROW,
            what="durable commands, one process, 256 in flight",
            unit="/s",
            value=median(ours),
            rounds=ours,
            against=f"pgbench -M prepared -c {CONNECTIONS}, single-row INSERT",
            peer=median(theirs) if theirs else None,
            peer_rounds=theirs,
            bar=Bar(least=2.0, ratio=True),
            note=None if theirs else "the peer was not measured: there is no pgbench",
        ),
        Figure(
            row=ROW,
            what="p99 at 64 in flight",
            unit="ms",
            value=median(late),
            rounds=late,
            bar=Bar(most=25.0),
            note=f"{median(rates(samples['few'])):,.0f}/s",
        ),
    ]


async def laned(handler: Handler, name: str, lanes: int, seconds: float) -> Contender:
    """Return what handles commands in lanes, warmed up."""
    names = [f"{name}-{lane}" for lane in range(lanes)]
    await create_personas(handler, names)
    own = [Lane(persona_id(each)) for each in names]

    async def work(lane: int) -> None:
        await handle(handler, own[lane])

    async def contend(_round: int) -> Sample:
        return await in_lanes(work, lanes=lanes, seconds=seconds)

    await in_lanes(work, lanes=lanes, seconds=WARM_UP)
    return contend


async def plain_inserts(bench: Bench, place: Place) -> Contender | None:
    """Return what inserts single rows, or None where there is no pgbench."""
    program = bench.programs / "pgbench"
    if not program.exists():
        return None
    async with place.superuser() as connection:
        await connection.execute(PLAIN_TABLE)
    with tempfile.NamedTemporaryFile("w", delete=False, dir=bench.folder) as script:
        script.write(insert_script())
    env = environment(libpq(place.database.superuser))

    async def contend(_round: int) -> Sample:
        seconds = max(1, round(bench.seconds))
        printed = await answer_of(
            [
                program,
                *("-n", "-M", "prepared", "-j", "2"),
                *("-c", str(CONNECTIONS), "-T", str(seconds)),
                *("-f", Path(script.name)),
            ],
            env,
        )
        found = _TPS.search(printed)
        if found is None:
            message = f"pgbench said: {printed}"
            raise FailedError(message)
        return Sample(done=round(float(found[1]) * seconds), seconds=seconds)

    return contend


def insert_script() -> str:
    """Return the script of pgbench: one row, as the log has it."""
    persona = persona_id("pgbench")
    data = version_of(persona, 1).decode().replace("'", "''")
    values = (
        "nextval('bench.positions')",
        f"'testing.persona-{persona}-' || :client_id",
        "currval('bench.positions')",
        "gen_random_uuid()",
        "5",
        f"'{ORG}'",
        f"'{REGION}'",
        "gen_random_uuid()",
        "gen_random_uuid()",
        "NULL",
        # pgbench would take what follows a colon for a variable.
        f"'{ACTOR}'".replace(":", "' || chr(58) || '"),
        "'127.0.0.1'",
        "now()",
        "now()",
        f"'{data}'",
        "NULL",
        "NULL",
        f"decode('{'5a' * 32}', 'hex')",
    )
    return (
        f"INSERT INTO bench.events ({', '.join(COLUMNS)}) "  # noqa: S608 - constants
        f"VALUES ({', '.join(values)});\n"
    )
