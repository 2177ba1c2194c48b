"""Durable commands over HTTP, one API process, against a bare handler that inserts.

The API runs as its own role, logs and all. The peer decodes the same body and inserts
one row through a pool. Both answer 32 connections of the same client.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

import msgspec

from infra.clock import now
from infra.embedded.server import free_port
from infra.tokens import Issuer, development_key
from services.handling import Handler
from tests.bench.load import Loaded
from tests.bench.measuring import (
    WARM_UP,
    Bar,
    Contender,
    Figure,
    Sample,
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
    answering,
    environment,
    process,
    rehearsal,
)
from tests.bench.workload import ACTOR, ORG, PLAIN_TABLE, ROLES, create_personas


ROW: Final = "http"
CONNECTIONS: Final = 32


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench.database(ROW))
        token = token_of(place)
        async with place.core() as parts:
            names = await names_of(parts.handler, bench.rounds + 1)
        async with place.superuser() as connection:
            await connection.execute(PLAIN_TABLE)
        ours = await stack.enter_async_context(api(bench, place))
        theirs = await stack.enter_async_context(bare(bench, place))

        def contender(port: int) -> Contender:
            async def contend(number: int) -> Sample:
                return await loaded(port, names[number], token, bench.seconds)

            return contend

        for port in (ours, theirs):
            await loaded(port, names[-1], token, WARM_UP)
        samples = await interleaved(
            bench.rounds, {"api": contender(ours), "bare": contender(theirs)}
        )
    found, peer = rates(samples["api"]), rates(samples["bare"])
    late = percentiles(samples["api"], 0.99)
    return [
        Figure(
            row=ROW,
            what=f"commands over HTTP, one process, {CONNECTIONS} connections",
            unit="/s",
            value=median(found),
            rounds=found,
            against="bare aiohttp handler, one row through a pool",
            peer=median(peer),
            peer_rounds=peer,
            bar=Bar(least=1.5, ratio=True),
        ),
        Figure(
            row=ROW,
            what=f"p99 at {CONNECTIONS} connections",
            unit="ms",
            value=median(late),
            rounds=late,
            against="bare aiohttp handler",
            peer=median(percentiles(samples["bare"], 0.99)),
            bar=Bar(most=25.0),
        ),
    ]


async def names_of(handler: Handler, rounds: int) -> list[list[str]]:
    """Create the personas of each round and return their names."""
    names = [
        [f"round-{number}-{lane}" for lane in range(CONNECTIONS)]
        for number in range(rounds)
    ]
    await create_personas(handler, [each for some in names for each in some])
    return names


def token_of(place: Place) -> str:
    """Return a bearer token for the bench's organisation."""
    given = place.settings
    issuer = Issuer(
        development_key(given.data_dir),
        issuer=given.token_issuer,
        audience=given.token_audience,
        clock=now,
    )
    return issuer.issue(ACTOR, org=ORG, roles=ROLES, lifetime=timedelta(hours=1))


@asynccontextmanager
async def api(bench: Bench, place: Place) -> AsyncIterator[int]:
    """Run the API's role and yield its port."""
    port, admin_port = free_port(), free_port()
    log = bench.folder / "api.log"
    env = environment(place.environment())
    command = rehearsal(
        "api", "--http-port", str(port), "--admin-port", str(admin_port)
    )
    async with process(command, env, log) as child:
        await answering(f"http://127.0.0.1:{admin_port}/livez", child, log)
        yield port


@asynccontextmanager
async def bare(bench: Bench, place: Place) -> AsyncIterator[int]:
    """Run the peer and yield its port."""
    port, log = free_port(), bench.folder / "bare.log"
    command = [
        *(sys.executable, "-m", "tests.bench.bare_http"),
        *("--postgres", place.database.superuser, "--port", str(port)),
    ]
    async with process(command, environment(), log) as child:
        await answering(f"http://127.0.0.1:{port}/", child, log)
        yield port


async def loaded(port: int, names: list[str], token: str, seconds: float) -> Sample:
    """Load a server and return what it did, or raise `FailedError`."""
    printed = await answer_of(
        [
            *(sys.executable, "-m", "tests.bench.load"),
            *("--port", str(port), "--names", ",".join(names)),
            *("--token", token, "--seconds", str(seconds)),
        ],
        environment(),
    )
    found = msgspec.json.decode(printed, type=Loaded)
    if found.refused is not None:
        message = f"the server refused: {found.refused}"
        raise FailedError(message)
    return found.sample
