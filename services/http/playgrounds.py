"""What a playground's owner learns of its evaluations: statistics, and exports.

Both are of one moment, which they name by its position in the log. Calculating takes
seconds of a processor and large libraries, so it is done elsewhere.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from typing import Final, Protocol, get_args

import msgspec
import structlog
from aiohttp import web

from events.errors import Failure, Malformed, Missing
from services.http import asking, formats, playground_reading
from services.http.asking import Identify
from services.http.limits import Limits
from services.http.snapshots import Snapshot, Snapshots
from services.http.turns import Turns
from services.http.waiting import Waiting
from services.playgrounds import exports
from services.playgrounds.exports import Row, Shape
from services.playgrounds.statistics.records import Evaluations, Options


GROUP: Final = "playgrounds"
POSITION: Final = "Rehearsal-Position"
PARAMETERS: Final = frozenset({"confidence", "draws", "seed", "ties", "min_position"})
LEAST_CONFIDENCE: Final = 0.5
MOST_CONFIDENCE: Final = 0.9999
LEAST_DRAWS: Final = 100
MOST_DRAWS: Final = 10_000

SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)

_log: Final = structlog.get_logger()


class CalculateStatistics(Protocol):
    """Calculates elsewhere; the answer is JSON."""

    async def statistics(self, data: Evaluations, options: Options, /) -> bytes:
        """Return what a playground's evaluations say."""
        ...


class PlaygroundRoutes:
    """The routes of a playground's statistics and exports."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        calculate: CalculateStatistics,
        waiting: Waiting,
        identify: Identify,
        limits: Limits,
    ) -> None:
        self._snapshots = snapshots
        self._calculate = calculate
        self._waiting = waiting
        self._identify = identify
        self._limits = limits
        self._calculations = Turns(1)
        self._exports = Turns(limits.exports)

    async def statistics(self, request: web.Request) -> web.Response:
        """Answer what a playground's evaluations say."""
        identity = self._identify(request)
        asking.chosen(request, (formats.JSON,))
        playground_id = asking.identifier(request.match_info["id"], "path.id")
        parameters = asking.single(request, PARAMETERS)
        options = options_of(parameters)
        await self._waiting.for_tables(parameters, GROUP)
        async with self._calculations.turn():
            async with self._snapshots.snapshot(identity) as snapshot:
                data = await playground_reading.evaluations(snapshot, playground_id)
            found = await self._calculate.statistics(data, options)
        return web.Response(
            body=found,
            headers={
                "Content-Type": formats.JSON,
                "Cache-Control": "no-store",
                POSITION: str(data.position),
            },
        )

    async def export(self, request: web.Request) -> web.StreamResponse:
        """Answer a playground's evaluations in a shape, tester by tester."""
        identity = self._identify(request)
        kind = asking.chosen(request, (formats.CSV, formats.NDJSON))
        playground_id = asking.identifier(request.match_info["id"], "path.id")
        shape = shape_of(request.match_info["shape"])
        parameters = asking.single(request, frozenset({"min_position"}))
        await self._waiting.for_tables(parameters, GROUP)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._exports.turn())
            snapshot = await stack.enter_async_context(
                self._snapshots.snapshot(identity)
            )
            playground = await playground_reading.frame(snapshot, playground_id)
            response = web.StreamResponse(
                headers=export_headers(playground, shape, kind)
            )
            await response.prepare(request)

            async def write(chunk: bytes) -> None:
                await asyncio.wait_for(response.write(chunk), self._limits.drop_seconds)

            try:
                async for chunk in export_of(snapshot, playground, shape, kind):
                    await write(chunk)
            except (Failure, TimeoutError) as error:
                # What was sent cannot be taken back: the client has to see it end.
                _log.warning("export_broken", reason=str(error) or "too slow a client")
                if request.transport is not None:
                    request.transport.abort()
            return response


def options_of(parameters: dict[str, str]) -> Options:
    """Return the options that query parameters ask for, or raise `Malformed`."""
    chosen = Options()
    if "confidence" in parameters:
        chosen = msgspec.structs.replace(
            chosen, confidence=_confidence(parameters["confidence"])
        )
    if "draws" in parameters:
        draws = asking.integer(parameters["draws"], "query.draws", most=MOST_DRAWS)
        if draws < LEAST_DRAWS:
            message = f"Fewer than {LEAST_DRAWS} draws tell nothing."
            raise Malformed(message, path="query.draws")
        chosen = msgspec.structs.replace(chosen, draws=draws)
    if "seed" in parameters:
        seed = asking.integer(parameters["seed"], "query.seed")
        chosen = msgspec.structs.replace(chosen, seed=seed)
    if "ties" in parameters:
        match parameters["ties"]:
            case "davidson" | "rao-kupper" as ties:
                chosen = msgspec.structs.replace(chosen, ties=ties)
            case _:
                message = "Ties are by davidson or rao-kupper."
                raise Malformed(message, path="query.ties")
    return chosen


def shape_of(asked: str) -> Shape:
    """Return the shape of an export, or raise `Missing`."""
    for shape in SHAPES:
        if shape == asked:
            return shape
    message = f"An export is one of {', '.join(SHAPES)}."
    raise Missing(message, path="path.shape")


def export_headers(playground: Evaluations, shape: Shape, kind: str) -> dict[str, str]:
    """Return the headers of an export, which say its moment and a name for its file."""
    suffix = "csv" if kind == formats.CSV else "ndjson"
    name = f"playground-{playground.playground_id}-{shape}.{suffix}"
    return {
        "Content-Type": f"{kind}; charset=utf-8" if kind == formats.CSV else kind,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        POSITION: str(playground.position),
    }


async def export_of(
    snapshot: Snapshot, playground: Evaluations, shape: Shape, kind: str
) -> AsyncIterator[bytes]:
    """Yield an export's bytes, some testers at a time."""
    names = exports.columns(shape, playground)
    if kind == formats.CSV:
        yield formats.csv_lines([names])
    if shape == "codebook":
        yield _encoded(exports.rows(shape, playground), kind)
        return
    async for some in playground_reading.by_tester(snapshot, playground):
        chunk = _encoded(exports.rows(shape, some), kind)
        if chunk:
            yield chunk


def _encoded(rows: Iterable[Row], kind: str) -> bytes:
    if kind == formats.CSV:
        return formats.csv_lines(list(row.values()) for row in rows)
    return formats.as_lines(list(rows))


def _confidence(asked: str) -> float:
    message = f"A confidence is a number from {LEAST_CONFIDENCE} to {MOST_CONFIDENCE}."
    if not re.fullmatch(r"0?\.[0-9]{1,6}", asked):
        raise Malformed(message, path="query.confidence")
    found = float(asked)
    if not LEAST_CONFIDENCE <= found <= MOST_CONFIDENCE:
        raise Malformed(message, path="query.confidence")
    return found
