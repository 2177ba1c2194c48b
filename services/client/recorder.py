"""Recording simulations that run elsewhere: rows are gathered, and sent in batches.

A batch goes when a table has gathered 1,000 rows, or 30 seconds after the last one, and
is recorded as a whole or not at all. Until it is, it keeps its number and the id of its
command: however often it is sent, it is recorded once. While the server is away rows
are kept, as many as the capacity says; past it adding one fails, and nothing is lost.
"""

import asyncio
import math
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.errors import Failure, Malformed, Refused, TooMany, Unavailable
from events.experiments.outside import End
from events.ids import SimulationId
from events.message import Command
from services.client.client import random_id
from services.client.retrying import pauses
from services.commanding import COMMAND_BYTES
from services.decoding import decode_json
from services.experiments.common import Ended
from services.experiments.experiments import DescribeOutsideExperiment
from services.experiments.outside import (
    EndOutsideSimulation,
    OpenOutsideSimulation,
    RecordOutsideRows,
)
from services.experiments.outside_rows import (
    MAX_ROWS,
    AgentActions,
    AgentDeaths,
    Agents,
    AgentStates,
    Columns,
    HealthIncidents,
    LearningExperiences,
    OutsideRows,
    ResourceStates,
    SimulationSteps,
)
from services.outcome import Outcome
from services.ports import Ids


SECONDS: Final = 30.0
CAPACITY: Final = 100_000
BATCH_BYTES: Final = COMMAND_BYTES // 2
NULL: Final = len(b"null,")

Table = Literal[
    "simulation_steps",
    "agents",
    "agent_deaths",
    "agent_states",
    "resource_states",
    "agent_actions",
    "learning_experiences",
    "health_incidents",
]

KINDS: Final[Mapping[str, type[Columns]]] = {
    "simulation_steps": SimulationSteps,
    "agents": Agents,
    "agent_deaths": AgentDeaths,
    "agent_states": AgentStates,
    "resource_states": ResourceStates,
    "agent_actions": AgentActions,
    "learning_experiences": LearningExperiences,
    "health_incidents": HealthIncidents,
}


class BufferFull(Refused):
    """As many rows wait to be recorded as may wait."""


class Sender(Protocol):
    """What sends commands, such as a client."""

    async def send(self, command: Command, *, command_id: UUID) -> Outcome:
        """Send a command and return its outcome, or raise the failure."""
        ...


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is not recorded yet, and how many rows it holds."""

    command: Command
    command_id: UUID
    rows: int = 0


class RecordedSimulation:
    """A simulation that runs elsewhere, as it is recorded; made by a `Recorder`.

    In an `async with` it ends as the block does: completed, or failed with the error,
    or cancelled. `results_summary` is recorded with its end.
    """

    def __init__(
        self,
        client: Sender,
        opening: OpenOutsideSimulation,
        *,
        rows: int,
        seconds: float,
        capacity: int,
        in_memory: bool,
        ids: Ids,
    ) -> None:
        self.name = opening.name
        self.simulation_id = opening.simulation_id
        self.results_summary: dict[str, Any] = {}
        self.position = 0
        self._client = client
        self._most = rows
        self._seconds = seconds
        self._capacity = capacity
        self._in_memory = in_memory
        self._ids = ids
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._bytes = 0
        self._batches = 0
        self._queue = deque([Unsent(command=opening, command_id=ids())])
        self._waiting = 0
        self._ending: Unsent | None = None
        self._trouble: Failure | None = None
        self._turn = asyncio.Lock()
        self._due = asyncio.Event()
        self._moved = asyncio.Event()
        self._delivery: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Return how many rows are not recorded yet."""
        return self._waiting

    @property
    def ended(self) -> bool:
        """Say whether no more rows are taken."""
        return self._ending is not None

    def add(self, table: Table, **columns: object) -> None:
        """Keep a row, to be sent with the next batch, without waiting for anything.

        Columns are those of the read table; NumPy's numbers are taken as what they
        hold. Raises `Malformed` with the path of what is wrong, and `BufferFull`.
        """
        if self.ended:
            raise Ended
        if self._waiting >= self._capacity:
            message = f"{self._waiting} rows wait to be recorded, and no more may."
            if self._trouble is not None:
                message += f" {self._trouble}"
            raise BufferFull(message) from self._trouble
        row = {name: _plain(value) for name, value in columns.items()}
        size = _checked(table, row)
        if self._bytes + size > BATCH_BYTES:
            self._seal()
        rows = self._rows.setdefault(table, [])
        rows.append(row)
        self._waiting += 1
        self._bytes += size
        if len(rows) >= self._most:
            self._seal()

    async def log(self, table: Table, **columns: object) -> None:
        """Keep a row as `add` does, and let batches go; wait where they are behind.

        While the server is away there is no waiting. Raises what `add` does, and the
        failure of a batch that was refused.
        """
        self.add(table, **columns)
        if self._in_memory:
            return
        if self._delivery is None:
            self._delivery = asyncio.create_task(self._deliver())
        if len(self._queue) > 1:
            self._due.set()
        while self._waiting >= 2 * self._most and self._trouble is None:
            self._moved.clear()
            await self._moved.wait()
        self._check()

    async def flush(self) -> None:
        """Return once every row is recorded, or raise the failure; rows are kept."""
        self._seal()
        await self._send()

    async def end(
        self,
        status: End = "completed",
        *,
        reason: str = "",
        end_time: datetime | None = None,
    ) -> None:
        """Record what waits and the end. Call it again where the server was away."""
        if self._ending is None:
            self._seal()
            command = EndOutsideSimulation(
                simulation_id=self.simulation_id,
                status=status,
                end_time=end_time,
                results_summary=self.results_summary,
                reason=reason,
            )
            decode_json(_encode(command), EndOutsideSimulation)
            self._ending = Unsent(command=command, command_id=self._ids())
            self._queue.append(self._ending)
        await self._stop()
        await self._send()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, reason = outcome_of(error)
        await self.end(status, reason=reason)

    def _seal(self) -> None:
        """Make what was gathered a batch, with its number and its command's id."""
        if not self._rows:
            return
        self._batches += 1
        tables = {name: _columns(rows) for name, rows in self._rows.items()}
        command = RecordOutsideRows(
            simulation_id=self.simulation_id,
            batch=self._batches,
            rows=msgspec.convert(tables, OutsideRows),
        )
        count = sum(map(len, self._rows.values()))
        self._queue.append(Unsent(command=command, command_id=self._ids(), rows=count))
        self._rows = {}
        self._bytes = 0

    async def _send(self) -> None:
        """Send what waits, in order; what fails stays, with its command's id."""
        async with self._turn:
            while self._queue:
                first = self._queue[0]
                try:
                    found = await self._client.send(
                        first.command, command_id=first.command_id
                    )
                except Failure as failure:
                    self._trouble = failure
                    raise
                finally:
                    self._moved.set()
                self._trouble = None
                self.position = found.position
                self._waiting -= first.rows
                self._queue.popleft()

    async def _deliver(self) -> None:
        """Send batches as they are due, as long as they are not refused."""
        waits = pauses()
        try:
            while not self._refused:
                try:
                    await self._send()
                    waits = pauses()
                except Failure:  # kept in `_trouble`, and the batch too
                    await asyncio.sleep(next(waits))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._seconds):
                        await self._due.wait()
                self._due.clear()
                self._seal()
        finally:
            self._moved.set()

    @property
    def _refused(self) -> bool:
        """Say whether a batch failed in a way that waiting does not mend."""
        away = Unavailable, TooMany
        return self._trouble is not None and not isinstance(self._trouble, away)

    def _check(self) -> None:
        if self._delivery is not None and self._delivery.done():
            self._delivery.result()
        if self._refused and self._trouble is not None:
            raise self._trouble

    async def _stop(self) -> None:
        if self._delivery is not None:
            self._delivery.cancel()
            await asyncio.gather(self._delivery, return_exceptions=True)
            self._delivery = None


class Recorder:
    """Records simulations of one model, each in a context of its own.

    To be used in an `async with`, which ends what has not ended. `experiment` is what
    they belong to; its status is recorded at the end. `rows` and `seconds` say when a
    batch goes, `capacity` how many rows of a simulation may wait. `in_memory` sends
    nothing before a simulation is flushed or ended.
    """

    def __init__(
        self,
        client: Sender,
        *,
        model: str,
        experiment: DescribeOutsideExperiment | None = None,
        rows: int = MAX_ROWS,
        seconds: float = SECONDS,
        capacity: int = CAPACITY,
        in_memory: bool = False,
        ids: Ids = random_id,
    ) -> None:
        if not 1 <= rows <= MAX_ROWS:
            message = f"A batch has from 1 to {MAX_ROWS} rows of a table."
            raise Malformed(message, path="rows")
        self._client = client
        self._model = model
        self._experiment = experiment
        self._rows = rows
        self._seconds = seconds
        self._capacity = capacity
        self._in_memory = in_memory
        self._ids = ids
        self._simulations: dict[str, RecordedSimulation] = {}

    def simulation(
        self,
        name: str,
        *,
        configuration: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        start_time: datetime | None = None,
    ) -> RecordedSimulation:
        """Return the one context of a simulation, made when it is first asked for."""
        known = self._simulations.get(name)
        if known is not None:
            return known
        opening = OpenOutsideSimulation(
            simulation_id=SimulationId(self._ids()),
            name=name,
            model=self._model,
            experiment=self._experiment,
            number=len(self._simulations) + 1,
            configuration=dict(configuration or {}),
            parameters=dict(parameters or {}),
            start_time=start_time,
        )
        decode_json(_encode(opening), OpenOutsideSimulation)
        made = RecordedSimulation(
            self._client,
            opening,
            rows=self._rows,
            seconds=self._seconds,
            capacity=self._capacity,
            in_memory=self._in_memory,
            ids=self._ids,
        )
        self._simulations[name] = made
        return made

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status, reason = outcome_of(error)
        failures: list[Failure] = []
        for simulation in self._simulations.values():
            try:
                await simulation.end(status, reason=reason)
            except Failure as failure:
                failures.append(failure)
        if failures:
            raise failures[0]
        if self._experiment is not None and self._simulations:
            described = replace(self._experiment, status=status)
            await self._client.send(described, command_id=self._ids())


def outcome_of(error: BaseException | None) -> tuple[End, str]:
    """Return how a simulation ended whose block was left with an error, or without."""
    if error is None:
        return "completed", ""
    if not isinstance(error, Exception):
        return "cancelled", type(error).__name__
    reason = f"{type(error).__name__}: {error}".replace("\0", "")
    return "failed", reason.encode(errors="replace").decode()[:1_000]


def _plain(value: object) -> object:
    """Return a number of NumPy's as the number that it holds."""
    if value is None or type(value) in {int, float, str, bool}:
        return value
    item = getattr(value, "item", None)
    return value if item is None else item()


def _checked(table: str, row: Mapping[str, object]) -> int:
    """Return how many bytes a row takes at most, or raise `Malformed`."""
    kind = KINDS.get(table)
    if kind is None:
        message = f"There is no table {table!r}; there are {', '.join(KINDS)}."
        raise Malformed(message, path="$")
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            message = "This is no finite number."
            raise Malformed(message, path=f"$.{table}.{name}")
    try:
        raw = _encode({name: [value] for name, value in row.items()})
        decode_json(raw, kind)
    except UnicodeEncodeError as error:
        raise Malformed("This text is not Unicode.", path=f"$.{table}") from error
    except (TypeError, OverflowError) as error:
        message = f"{error}."
        raise Malformed(message, path=f"$.{table}") from error
    except Malformed as failure:
        path = (failure.path or "$").removeprefix("$").replace("[0]", "")
        raise Malformed(str(failure), path=f"$.{table}{path}") from failure
    return len(raw) + NULL * len(kind.__struct_fields__)


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


_encode: Final = msgspec.json.Encoder().encode
