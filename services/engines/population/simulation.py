"""A run of a population: begun or taken up again, advanced, hashed, kept.

What happens follows from the configuration and the seed alone: not from how many steps
are made at a time, what is recorded, the size of cells, or the number of threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from events.errors import Malformed
from services.engines.population import agentfarm, farm_1, networks, thinking
from services.engines.population.chunks import ENGINE
from services.engines.population.columns import (
    CARRIED,
    LEARNED,
    TABLES,
    Agent,
    Counters,
    Node,
    Records,
    Rows,
    Tables,
    array_of,
    dtype_of,
    grown,
    records,
)
from services.engines.population.configuration import Configuration, checked
from services.engines.population.farm_1 import Field, Plan
from services.engines.population.founding import found
from services.engines.population.genomes import Entry
from services.engines.population.networks import Minds, Progress
from services.engines.population.recording import record_step
from services.engines.population.rules import (
    TABLED,
    Capture,
    captured,
    first_genes,
    kind_rules,
    one,
    rules,
)
from services.engines.population.space import Cells, Grid, Spot


CROWD: Final = 5_000  # agents from which on threads share a step's decisions
NETWORKS: Final = 1  # of how networks lie in a checkpoint
PARTS: Final = 4  # of a step that threads share, per thread
CELLS: Final = 4  # per agent or node, at most
STATE_COLUMNS: Final = tuple(
    name for name in dtype_of(Agent).names or () if name != "slot"
)
NODE_COLUMNS: Final = ("x", "y", "amount")
NETWORK_ARRAYS: Final = ("online", "target", "first", "second")

R = TypeVar("R")
Part = Callable[[], object]
Spread = Callable[[Sequence[Part]], None]


class Networks(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint says of the networks in it."""

    version: int = NETWORKS
    hidden: int
    memory: int


class Head(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a checkpoint says of itself before its arrays."""

    engine: str
    ruleset: str
    seed: int
    alive: int
    nodes: int
    learning: bool
    networks: Networks | None = None


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some steps of a run; the tables hold until the run goes on."""

    first: int
    last: int
    tables: Tables
    extinct: bool


def one_by_one(parts: Sequence[Part]) -> None:
    """Do the parts of a step one after another."""
    for part in parts:
        part()


class Simulation:
    """A run, from its first step or from a checkpoint."""

    def __init__(
        self,
        configuration: Configuration,
        seed: int,
        *,
        capture: Capture = Capture(),  # noqa: B008 - a tuple of numbers
        spread: Spread = one_by_one,
        threads: int = 1,
        cells: int | None = None,
    ) -> None:
        """Make what a run needs; `cells` is how wide they are, as a power of two."""
        self.configuration = checked(configuration)
        self.seed = seed
        self._spread = spread
        self._threads = threads
        self._first = 0
        self._field = self._empty(capture, cells)
        self._minds = self._ignorant()

    @classmethod
    def begin(
        cls, configuration: Configuration, seed: int, **how: object
    ) -> "Simulation":
        """Begin a run; its first chunk holds step 0, where everything is placed."""
        made = cls(configuration, seed, **how)  # type: ignore[arg-type]
        field = made._field
        found(field, configuration.ruleset != "farm-1")
        record_step(
            field.agents,
            field.nodes,
            field.counters[0],
            field.capture[0],
            field.tables,
            field.rows[0],
        )
        if made.minds is not None:
            networks.awaken(made.minds, seed)
        return made

    @classmethod
    def resume(
        cls,
        configuration: Configuration,
        checkpoint: bytes,
        **how: object,
    ) -> "Simulation":
        """Go on from a checkpoint, perhaps with a configuration that was changed."""
        head, arrays = _opened(checkpoint)
        if (
            head.engine != ENGINE
            or head.ruleset != configuration.ruleset
            or head.nodes != configuration.resources.nodes
            or head.learning != (configuration.learning.mode == "tables")
            or head.networks != _networks(configuration)
        ):
            message = f"This checkpoint is of another kind of run: {head}."
            raise Malformed(message)
        made = cls(configuration, head.seed, **how)  # type: ignore[arg-type]
        made._take_up(head, arrays)
        return made

    @property
    def step(self) -> int:
        """Return the last step that was made."""
        return int(self._field.counters[0].step)

    @property
    def alive(self) -> int:
        """Return how many agents live."""
        return int(self._field.counters[0].alive)

    @property
    def minds(self) -> Minds | None:
        """Return the networks, None where none learn."""
        return self._minds

    def run(self, until: int) -> Chunk:
        """Go on until a step, or until nobody lives, and return what was recorded."""
        first = self._first
        while self.step < until and self.alive > 0:
            self._make_room()
            if self.configuration.ruleset == "agentfarm-2025-07":
                agentfarm.advance(self._field, until)
            elif self._minds is not None:
                self._step_thinking(self._minds)
            elif self._threads > 1 and self.alive >= CROWD:
                self._step_together()
            else:
                farm_1.advance(self._field, until)
        chunk = Chunk(
            first=first,
            last=self.step,
            tables=Tables(
                *(
                    table[:rows]
                    for table, rows in zip(
                        (array_of(table) for table in self._field.tables),
                        self._rows(),
                        strict=True,
                    )
                )
            ),
            extinct=self.alive == 0,
        )
        array_of(self._field.rows)[:] = 0
        self._first = self.step + 1
        return chunk

    def checkpoint(self) -> bytes:
        """Return the whole state, in one form that only the state decides."""
        field, alive = self._field, self.alive
        agents = array_of(field.agents)[:alive]
        slots = agents["slot"]
        learning = bool(field.rules[0].learning == TABLED)
        head = Head(
            engine=ENGINE,
            ruleset=self.configuration.ruleset,
            seed=self.seed,
            alive=alive,
            nodes=len(field.nodes),
            learning=learning,
            networks=_networks(self.configuration),
        )
        arrays = [
            _carried(field.counters),
            *(agents[name] for name in STATE_COLUMNS),
            *(array_of(field.nodes)[name] for name in NODE_COLUMNS),
            field.genes[slots],
            field.learned[slots] if learning else field.learned[:0],
        ]
        if self._minds is not None:
            arrays += _remembered(self._minds, agents)
        body = msgspec.json.encode(head)
        return b"".join(
            [
                len(body).to_bytes(4, "little"),
                body,
                *(np.ascontiguousarray(each).tobytes() for each in arrays),
            ]
        )

    def state_hash(self) -> str:
        """Return the BLAKE2b of the state, 32 bytes in hex."""
        return hash_of(self.checkpoint())

    def _empty(self, capture: Capture, cells: int | None) -> Field:
        held = rules(self.configuration, self.seed)
        made = held[0]
        population = self.configuration.population
        begin = population.system + population.independent + population.control
        nodes = self.configuration.resources.nodes
        room = max(2 * begin, 64)
        shift = _shift(made.width, made.height, max(room, nodes), cells)
        across, down = (made.width >> shift) + 1, (made.height >> shift) + 1
        counters = records(Counters, 1)
        counters[0].free = room
        space = {"shift": shift, "across": across, "down": down}
        return Field(
            rules=held,
            kinds=kind_rules(self.configuration),
            first_genes=first_genes(self.configuration),
            agents=records(Agent, room),
            nodes=records(Node, nodes),
            genes=np.zeros((room, 8), dtype=np.int32),
            learned=np.zeros((room, _width(made.learning)), dtype=np.int32),
            free=np.arange(room - 1, -1, -1, dtype=np.int32),
            census=records(Entry, _names(room)),
            histogram=np.zeros(room + 2, dtype=np.int32),
            grid=Grid(
                cells=one(Cells, space),
                start=np.zeros(across * down + 1, dtype=np.int32),
                agents=records(Spot, room),
                node_start=np.zeros(across * down + 1, dtype=np.int32),
                nodes=records(Spot, nodes),
            ),
            plans=records(Plan, room),
            weights=np.zeros((room, 5), dtype=np.int64),
            counters=counters,
            capture=captured(capture),
            tables=Tables(
                *(records(kind, max(4 * room, nodes)) for kind in TABLES.values())
            ),
            rows=records(Rows, 1),
        )

    def _ignorant(self) -> Minds | None:
        """Return networks that know nothing, None where there are to be none."""
        learning = self.configuration.learning
        if learning.mode != "dqn":
            return None
        return networks.minds(learning, len(self._field.agents), PARTS * self._threads)

    def _rows(self) -> list[int]:
        """Return how many rows of each table are written."""
        return [int(rows) for rows in array_of(self._field.rows)[0]]

    def _take_up(self, head: Head, arrays: memoryview) -> None:
        alive = head.alive
        self._make_place(max(2 * alive, 64))
        field = self._field
        taken = _Taken(arrays)
        carried = taken.array("<i8", CARRIED)
        counters, agents = array_of(field.counters), array_of(field.agents)
        for name, value in zip(dtype_of(Counters).names or (), carried, strict=False):
            counters[name] = value
        for name in STATE_COLUMNS:
            agents[name][:alive] = taken.array(agents.dtype[name], alive)
        for name in NODE_COLUMNS:
            array_of(field.nodes)[name] = taken.array("<i4", head.nodes)
        room = len(field.agents)
        field.genes[:alive] = taken.array("<i4", alive * 8).reshape(-1, 8)
        if head.learning:
            learned = taken.array("<i4", alive * LEARNED)
            field.learned[:alive] = learned.reshape(-1, LEARNED)
        if self._minds is not None:
            _recall(self._minds, taken, alive)
        taken.end()
        agents["slot"][:alive] = np.arange(alive, dtype=np.int32)
        field.free[: room - alive] = np.arange(room - 1, alive - 1, -1, dtype=np.int32)
        field.counters[0].free = room - alive
        self._count_genomes()
        self._first = self.step + 1

    def _step_together(self) -> None:
        """Make one step whose decisions several threads share."""
        field = self._field
        farm_1.begin_step(field)
        self._spread(
            [
                partial(farm_1.decide, field, first, last)
                for first, last in self._edges(PARTS * self._threads)
            ]
        )
        farm_1.finish_step(field)

    def _step_thinking(self, minds: Minds) -> None:
        """Make one step whose decisions networks make, which several threads share."""
        field = self._field
        farm_1.begin_step(field)
        counters = field.counters[0]
        together = self._threads > 1 and self.alive >= CROWD
        spread = self._spread if together else one_by_one
        edges = self._edges(PARTS * self._threads if together else 1)
        spread(
            [partial(thinking.look, field, minds, first, last) for first, last in edges]
        )
        networks.learn(minds, field.agents, counters.here, self.seed, counters.step)
        spread(
            [
                partial(thinking.decide, field, minds, first, last, part)
                for part, (first, last) in enumerate(edges)
            ]
        )
        farm_1.finish_step(field)

    def _edges(self, parts: int) -> list[tuple[int, int]]:
        """Return where parts of the living begin and end."""
        here = int(self._field.counters[0].here)
        return list(pairwise(here * part // parts for part in range(parts + 1)))

    def _make_room(self) -> None:
        """Let one more step fit, and many where few live."""
        alive, field = self.alive, self._field
        if 2 * alive > len(field.agents):
            self._make_place(4 * alive)
        elif 2 * (field.counters[0].entries + alive) > len(field.census):
            self._count_genomes()
        field = self._field
        if farm_1.has_room(field):
            return
        held: dict[str, Any] = field.tables._asdict()
        per_step = {"steps": 1, "nodes": len(field.nodes)}
        self._field = field._replace(
            tables=Tables(
                **{
                    name: _enlarged(held[name], used, per_step.get(name, 3 * alive))
                    for name, used in zip(TABLES, self._rows(), strict=True)
                }
            )
        )

    def _make_place(self, room: int) -> None:
        """Let so many agents have a place."""
        field = self._field
        was = len(field.agents)
        if room <= was:
            return
        free = int(field.counters[0].free)
        slots = np.zeros(room, dtype=np.int32)
        slots[: room - was] = np.arange(room - 1, was - 1, -1, dtype=np.int32)
        slots[room - was : room - was + free] = field.free[:free]
        field.counters[0].free = room - was + free
        more = ((0, room - was), (0, 0))
        self._field = field._replace(
            agents=grown(field.agents, room),
            plans=grown(field.plans, room),
            weights=np.zeros((room, 5), dtype=np.int64),
            genes=np.pad(field.genes, more),
            learned=np.pad(field.learned, more),
            free=slots,
            grid=field.grid._replace(agents=records(Spot, room)),
        )
        if self._minds is not None:
            self._minds = networks.with_room(self._minds, room)
        self._count_genomes()

    def _count_genomes(self) -> None:
        """Count the living genomes anew, in a table that has place for them."""
        room = len(self._field.agents)
        self._field = self._field._replace(
            census=records(Entry, _names(room)),
            histogram=np.zeros(room + 2, dtype=np.int32),
        )
        farm_1.count_genomes(self._field)


def hash_of(checkpoint: bytes) -> str:
    """Return the hash of the state that a checkpoint holds."""
    return blake2b(checkpoint, digest_size=32).hexdigest()


class _Taken:
    """Arrays read one after another."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._at = 0

    def array(
        self, kept: str | np.dtype[Any], count: int
    ) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the next array, or raise `Malformed`."""
        size = np.dtype(kept).itemsize * count
        if self._at + size > len(self._body):
            message = "This checkpoint is cut short."
            raise Malformed(message)
        taken = np.frombuffer(self._body, dtype=kept, count=count, offset=self._at)
        self._at += size
        return taken

    def end(self) -> None:
        """Refuse what comes after the last array."""
        if self._at != len(self._body):
            message = "This checkpoint is too long."
            raise Malformed(message)


def _networks(configuration: Configuration) -> Networks | None:
    """Return what a checkpoint says of a run's networks."""
    learning = configuration.learning
    if learning.mode != "dqn":
        return None
    return Networks(hidden=learning.network.hidden, memory=learning.network.memory)


def _width(learning: int) -> int:
    """Return how many values an agent's tables hold, one where there are none."""
    return LEARNED if learning == TABLED else 1


def _remembered(
    minds: Minds, agents: np.ndarray[tuple[int], np.dtype[np.void]]
) -> list[np.ndarray[Any, Any]]:
    """Return the arrays of networks that belong to the state.

    What an agent perceived before its first turn is nothing.
    """
    progress = array_of(minds.progress)
    acted = (agents["selected"] >= 0)[:, None]
    arrays = [
        *(progress[name] for name in dtype_of(Progress).names or ()),
        *(getattr(minds, name) for name in NETWORK_ARRAYS),
        np.where(acted, minds.last[agents["slot"]], np.int16(0)),
    ]
    for module, held in enumerate(progress["held"]):
        arrays += [kept[module, :held] for kept in minds.memory]
    return arrays


def _recall(minds: Minds, taken: "_Taken", alive: int) -> None:
    """Take up the arrays of networks."""
    progress = array_of(minds.progress)
    for name in dtype_of(Progress).names or ():
        progress[name] = taken.array(progress.dtype[name], len(progress))
    for name in NETWORK_ARRAYS:
        _refill(getattr(minds, name), taken)
    _refill(minds.last[:alive], taken)
    for module, held in enumerate(progress["held"]):
        for kept in minds.memory:
            _refill(kept[module, :held], taken)


def _refill(array: np.ndarray[Any, Any], taken: "_Taken") -> None:
    """Let an array hold what comes next."""
    array[...] = taken.array(array.dtype, array.size).reshape(array.shape)


def _opened(checkpoint: bytes) -> tuple[Head, memoryview]:
    size = int.from_bytes(checkpoint[:4], "little")
    try:
        head = msgspec.json.decode(checkpoint[4 : 4 + size], type=Head)
    except msgspec.MsgspecError as error:
        message = f"This is no checkpoint: {error}"
        raise Malformed(message) from error
    return head, memoryview(checkpoint)[4 + size :]


def _names(room: int) -> int:
    """Return how large the table of genomes is, for so many agents."""
    return 1 << (4 * room).bit_length()


def _carried(counters: Records[Counters]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the counters that belong to the state."""
    return np.array(array_of(counters)[0].tolist()[:CARRIED], dtype=np.int64)


def _enlarged(table: Records[R], used: int, per_step: int) -> Records[R]:
    """Return columns with place for more; what is nearly full doubles."""
    size = len(table)
    if used + per_step <= size // 2:
        return table
    return grown(table, 2 * max(size, used + per_step))


def _shift(width: int, height: int, points: int, wanted: int | None) -> int:
    """Return how wide cells are: as asked, or about 13 units, and not too many."""
    shift = 17 if wanted is None else wanted
    while ((width >> shift) + 1) * ((height >> shift) + 1) > CELLS * points + 256:
        shift += 1
    return shift
