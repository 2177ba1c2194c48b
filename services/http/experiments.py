"""What recorded populations say: one run's analysis, and conditions compared.

Both rest on the chunks that the log names, and on the batches of what runs elsewhere,
not on tables, so they hold for whatever the capture policy kept; what was not captured
is null, and named among the gaps.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final, Protocol
from uuid import UUID

from aiohttp import web

from events.errors import Malformed, Missing, TooLarge
from services.experiments.analysis.recording import AnyRecording, Subject
from services.http import asking, formats
from services.http.asking import Identify
from services.http.reading import Reader, Row
from services.http.recordings import ALWAYS, LARGEST, Recordings
from services.http.turns import Turns
from services.http.waiting import Waiting
from services.identity import Identity


GROUP: Final = "experiments"

ONE: Final = """
SELECT s._id
FROM experiments.simulations AS s
WHERE s.simulation_id = $1
"""

COMPLETED: Final = """
SELECT s._id
FROM experiments.simulations AS s
WHERE s.experiment_id = $1
AND s.status = 'completed'
ORDER BY s.number
"""

EXPERIMENT: Final = """
SELECT e.name, e.status, e.simulations
FROM experiments.experiments AS e
WHERE e.experiment_id = $1
"""


class CalculateRuns(Protocol):
    """Calculates elsewhere; the answers are JSON."""

    async def analysis(self, run: AnyRecording, least_severity: float, /) -> bytes:
        """Return what a run says."""
        ...

    async def contrasts(self, runs: Sequence[AnyRecording], /) -> bytes:
        """Return how the conditions of an experiment differ."""
        ...

    async def report(
        self, subject: Subject, runs: Sequence[AnyRecording], whole: AnyRecording, /
    ) -> bytes:
        """Return the report of runs; `whole` is the first with all of its rows."""
        ...


class ExperimentRoutes:
    """The routes of analyses and comparisons."""

    def __init__(
        self,
        *,
        reader: Reader,
        recordings: Recordings,
        calculate: CalculateRuns,
        turns: Turns,
        waiting: Waiting,
        identify: Identify,
    ) -> None:
        self._reader = reader
        self._recordings = recordings
        self._calculate = calculate
        self._turns = turns
        self._waiting = waiting
        self._identify = identify

    async def analysis(self, request: web.Request) -> web.Response:
        """Answer what a run's columns say."""
        identity = self._identify(request)
        asking.chosen(request, (formats.JSON,))
        number = asking.integer(request.match_info["id"], "path.id")
        parameters = asking.single(
            request, frozenset({"least_severity", "min_position"})
        )
        least = severity_of(parameters)
        await self._waiting.for_tables(parameters, GROUP)
        key = await stream_of(self._reader, identity, number)
        async with self._turns.turn():
            run = await self._recordings.read(key, org_id=identity.org_id)
            found = await self._calculate.analysis(run, least)
        return _json(found)

    async def comparison(self, request: web.Request) -> web.Response:
        """Answer how the conditions of an experiment differ."""
        identity = self._identify(request)
        asking.chosen(request, (formats.JSON,))
        experiment_id = asking.identifier(request.match_info["id"], "path.id")
        parameters = asking.single(request, frozenset({"min_position"}))
        await self._waiting.for_tables(parameters, GROUP)
        await experiment_row(self._reader, identity, experiment_id)
        async with self._turns.turn():
            keys = await completed(self._reader, identity, experiment_id)
            runs = await without_agents(self._recordings, identity.org_id, keys)
            found = await self._calculate.contrasts(runs)
        return _json(found)


async def stream_of(reader: Reader, identity: Identity, number: int) -> UUID:
    """Return what the stream of a simulation is called, or raise `Missing`."""
    rows = await reader.read(identity, ONE, [number])
    if not rows:
        raise Missing("There is no such simulation.")
    return UUID(rows[0]["_id"])


async def experiment_row(reader: Reader, identity: Identity, key: UUID) -> Row:
    """Return an experiment's name, status and number of runs, or raise `Missing`."""
    rows = await reader.read(identity, EXPERIMENT, [str(key)])
    if not rows:
        raise Missing("There is no such experiment.")
    return rows[0]


async def completed(reader: Reader, identity: Identity, key: UUID) -> list[UUID]:
    """Return the completed runs of an experiment in the order of their numbers."""
    rows = await reader.read(identity, COMPLETED, [str(key)])
    return [UUID(row["_id"]) for row in rows]


async def without_agents(
    recordings: Recordings, org_id: str, keys: Sequence[UUID]
) -> list[AnyRecording]:
    """Return runs without rows of single agents, or raise `TooLarge`."""
    runs = [await recordings.read(key, org_id=org_id, tables=ALWAYS) for key in keys]
    if any(size > LARGEST for size in accumulate(run.size for run in runs)):
        message = f"The rows of these runs are more than {LARGEST} bytes."
        raise TooLarge(message)
    return runs


def severity_of(parameters: Mapping[str, str]) -> float:
    """Return the least severity of events to tell, or raise `Malformed`."""
    asked = parameters.get("least_severity", "0")
    try:
        found = float(asked) if len(asked) < len("0.0123456789") else -1.0
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        message = "A severity is a number from 0 to 1."
        raise Malformed(message, path="query.least_severity")
    return found


def _json(body: bytes) -> web.Response:
    return web.Response(
        body=body, headers={"Content-Type": formats.JSON, "Cache-Control": "no-store"}
    )
