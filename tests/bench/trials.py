"""Trials of a live run, over RabbitMQ: dispatcher, worker and projector as processes.

One run of so many trials of at most 6 messages, with the rules engines: the simulated
user, the agent by its policy and the judge are in the worker, so that everything which
is waited for is the system's own. The clock starts with the command that starts the run
and stops when the read tables show its end. Meanwhile it is looked at how much memory
each process has written. What it grows by is the slope over the second half of the
trials, of which the reports are no part: they are made once, of all of them, when the
last one was counted. The proportional set size before and after them is told beside it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Final, NamedTuple

from events.message import Command, Meta
from infra.clock import new_id, now
from infra.embedded.ladder import own_programs
from tests.bench.measuring import Bar, Figure
from tests.bench.memory import MEASURABLE, MIB, pss, written
from tests.bench.server import (
    Bench,
    FailedError,
    Place,
    environment,
    process,
    rehearsal,
    tail,
)
from tests.bench.workload import ACTOR, ORG, REGION
from tests.rabbit_ladder import temporary_broker
from tests.services.work.library import A_LIVE_RUN, library


ROW: Final = "trials"
TESTS: Final = 50
SERVING: Final = ("dispatch", "work", "project")
LOOK: Final = 1.0  # seconds
STALLED: Final = 120.0  # seconds

COUNTED: Final = """
SELECT count(*)
  FROM es.events
 WHERE type = 'testing.TrialCounted'
"""
REPORTED: Final = """
SELECT count(*) = 2
  FROM es.events
 WHERE type = 'testing.ArtifactGenerated'
"""
SHOWN: Final = """
SELECT passed_count + failed_count + inconclusive_count + errored_count
  FROM testing.simulation_unit_test_set_runs
 WHERE status = 'completed'
"""
EVENTS: Final = "SELECT count(*) FROM es.events"


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    rung = own_programs()
    if rung is None or rung.programs is None:
        note = "not measured: rabbitmq-server is not on this machine"
        return [Figure(row=ROW, what="trials over RabbitMQ", unit="/s", note=note)]
    programs = await asyncio.to_thread(rung.programs)
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench.database(ROW))
        broker = await stack.enter_async_context(temporary_broker(programs))
        trials = max(1, bench.trials // TESTS)
        await ask(place, library(TESTS, trials=trials))
        pids = {
            role: await stack.enter_async_context(
                serving(place, role, broker.url, bench.folder / f"{role}.log")
            )
            for role in SERVING
        }
        return await held(place, trials * TESTS, pids)


async def held(place: Place, trials: int, pids: Mapping[str, int]) -> list[Figure]:
    """Start the run, wait for its end, and return the figures."""
    looks: list[Look] = []
    before: dict[str, float] = {}
    async with place.superuser() as connection:
        began = moved = perf_counter()
        await ask(place, [A_LIVE_RUN])
        known = 0
        while not (shown := await connection.fetchval(SHOWN)):
            await asyncio.sleep(LOOK)
            counted = await connection.fetchval(COUNTED)
            if counted < trials:
                looks.append(Look(counted, in_mib(written, pids)))
                before = in_mib(pss, pids)
            if counted > known:
                known, moved = counted, perf_counter()
            if perf_counter() - moved > STALLED:
                message = f"{counted} of {trials} trials were counted, and no more"
                raise FailedError(message)
        took = perf_counter() - began
        events = await connection.fetchval(EVENTS)
        async with asyncio.timeout(STALLED):
            while not await connection.fetchval(REPORTED):  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(LOOK)
    if shown != trials:
        message = f"the read tables show {shown} trials instead of {trials}"
        raise FailedError(message)
    return [
        Figure(
            row=ROW,
            what=f"{trials:,} trials over RabbitMQ, one worker",
            unit="/s",
            value=trials / took,
            bar=Bar(least=60.0),
            note=f"{events:,} events, {events / took:,.0f} a second",
        ),
        *growth(looks, before, in_mib(pss, pids)),
    ]


class Look(NamedTuple):
    """How many trials were counted, and what each process had written, in MiB."""

    counted: int
    written: Mapping[str, float]


def in_mib(measured: Callable[[int], int], pids: Mapping[str, int]) -> dict[str, float]:
    """Return a size of each process, where the system tells it."""
    return {role: measured(pid) / MIB for role, pid in pids.items() if MEASURABLE}


def growth(
    looks: Sequence[Look], before: Mapping[str, float], after: Mapping[str, float]
) -> list[Figure]:
    """Return what each process grew by while the later half of trials was held.

    Its proportional set sizes are those before and after the reports.
    """
    late = [look for look in looks if 2 * look.counted > looks[-1].counted]
    if len({look.counted for look in late}) < 2:
        return []
    xs = [look.counted / 1_000 for look in late]
    return [
        Figure(
            row=ROW,
            what=f"{role}: memory, growth a 1,000 trials in the second half",
            unit="MiB",
            value=slope(xs, [look.written[role] for look in late]),
            bar=Bar(most=0.5),
            note=f"PSS {size:.1f} MiB, {after[role]:.1f} after the reports",
        )
        for role, size in before.items()
    ]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line through points, by least squares."""
    middle, level = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle) ** 2 for x in xs)
    return sum((x - middle) * (y - level) for x, y in zip(xs, ys, strict=True)) / spread


async def ask(place: Place, commands: Iterable[Command]) -> None:
    """Carry out commands of a person."""
    async with place.core() as parts:
        for command in commands:
            key = new_id()
            meta = Meta(
                command_id=key,
                org_id=ORG,
                region=REGION,
                actor=ACTOR,
                correlation_id=key,
                occurred_at=now(),
                roles=frozenset({"admin"}),
            )
            await parts.handler.handle(command, meta)


@asynccontextmanager
async def serving(
    place: Place,
    role: str,
    broker: str,
    log: Path,
    more: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[int]:
    """Run a role, and yield its process id once it is ready."""
    env = environment(place.environment(), {"REHEARSAL_BROKER": broker}, more)
    async with process(rehearsal(role), env, log) as child:
        await until_ready(role, child, log)
        yield child.pid


async def until_ready(role: str, child: asyncio.subprocess.Process, log: Path) -> None:
    """Return once a role says that it is ready, or raise `FailedError`."""
    async with asyncio.timeout(STALLED):
        while b"role_ready" not in await asyncio.to_thread(log.read_bytes):
            if child.returncode is not None:
                message = f"{role} did not start: {tail(log)}"
                raise FailedError(message)
            await asyncio.sleep(0.1)
