"""The arrays of a run: what the engine calculates with, and what it records.

Amounts, lengths, health, rewards and shares are whole numbers of 1/`SCALE`; genes and
what is learned are whole numbers of 1/`FINE`. Living agents are the dense beginning of
the columns of `Agents`, in the order of their numbers, which are never used again.
"""

from typing import (
    Annotated,
    Any,
    Final,
    Generic,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_type_hints,
)

import numpy as np
import numpy.typing as npt


U1: TypeAlias = Annotated[int, "u1"]
I4: TypeAlias = Annotated[int, "<i4"]
I8: TypeAlias = Annotated[int, "<i8"]
U8: TypeAlias = Annotated[Any, "<u8"]  # mixed as numpy's own type
F4: TypeAlias = Annotated[float, "<f4"]
F8: TypeAlias = Annotated[float, "<f8"]

Integers: TypeAlias = npt.NDArray[np.int32]
Shorts: TypeAlias = npt.NDArray[np.int16]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]

LEARNED: Final = 384  # 48 states of select x 5, and 8 states x (4 + 3 + 4 + 5 + 2)

R = TypeVar("R")
Row = TypeVar("Row", covariant=True)


class Records(Protocol, Generic[Row]):
    """A structured array, row by row."""

    def __getitem__(self, place: int) -> Row:
        """Return a row, which can be written to."""
        ...

    def __len__(self) -> int:
        """Return how many rows there is place for."""
        ...


class Counters:
    """What the engine carries from step to step, and counts within one.

    Those up to `last_kind` belong to the state of a run.
    """

    step: I8
    alive: I8
    next: I8
    node_total: I8
    encounters: I8
    successes: I8
    shared: I8
    last_kind: I8
    free: I8
    entries: I8
    distinct: I8
    dominant: I8
    here: I8
    killed: I8
    births: I8
    deaths: I8
    gathered: I8
    regenerated: I8
    consumed: I8
    paid: I8
    spent: I8
    endowed: I8
    lost: I8


CARRIED: Final = 8


class Agent:
    """The agents; `slot` is where genes and learning tables lie, which never move.

    `selected` is the last state and choice of the select module, `chosen` the place in
    the tables of the last choice of the module of action `module`, `gained` what it
    brought; -1: none yet. `given` is the last step with a gift, 0 for none.
    """

    uid: I4
    kind: I4
    x: I4
    y: I4
    resources: I8
    health: I4
    starving: I4
    reward: I8
    birth: I4
    generation: I4
    given: I4
    waited: I4
    epsilon: I4
    selected: I4
    chosen: I4
    module: I4
    gained: I4
    defending: U1
    genome: U8
    slot: I4


class Node:
    """Resource nodes; they stay where they are."""

    x: I4
    y: I4
    amount: I4


class State:
    """One row per agent that lives at the end of a step."""

    step: I4
    agent: I4
    x: I4
    y: I4
    resources: I8
    health: I4
    defending: U1
    reward: I8
    age: I4


class NodeState:
    """One row per resource node at the end of a step."""

    step: I4
    node: I4
    amount: I4
    x: I4
    y: I4


class Action:
    """One row per agent that acted: `target` is an agent, or a node, or -1.

    `choice` is the sub-decision, `amount` what was moved, gathered, given, or the
    damage; `before` and `after` are the agent's resources.
    """

    step: I4
    agent: I4
    action: U1
    choice: U1
    outcome: U1
    target: I4
    before: I8
    after: I8
    reward: I4
    amount: I4


class Lesson:
    """One row per decision that a learning module made."""

    step: I4
    agent: I4
    module: U1
    choice: U1
    reward: I4


class Incident:
    """One row per change of an agent's health; `other` is who caused it, or -1."""

    step: I4
    agent: I4
    before: I4
    after: I4
    cause: U1
    other: I4


class Birth:
    """One row per agent that came to be; no parents: -1."""

    agent: I4
    step: I4
    kind: U1
    x: I4
    y: I4
    resources: I8
    health: I4
    generation: I4
    parent: I4
    other_parent: I4
    genome: U8
    move: I4
    gather: I4
    share: I4
    attack: I4
    reproduce: I4
    learning_rate: I4
    discount: I4
    epsilon_decay: I4


class Death:
    """One row per agent that died; `killer` is -1 unless another one killed it."""

    agent: I4
    step: I4
    cause: U1
    killer: I4


class Refusal:
    """One row per reproduction that was tried and refused."""

    step: I4
    agent: I4
    outcome: U1
    resources: I8
    health: I4


class Step:
    """One row per step: sums, from which the means follow; and the ledger."""

    step: I4
    agents: I4
    system: I4
    independent: I4
    control: I4
    births: I4
    deaths: I4
    generation: I4
    nodes_total: I8
    agents_total: I8
    health_total: I8
    age_total: I8
    reward_total: I8
    encounters: I8
    successes: I8
    shared: I8
    genomes: I4
    dominant: I4
    entropy: F8
    depleted: I8
    gathered: I8
    regenerated: I8
    consumed: I8
    paid: I8
    spent: I8
    endowed: I8
    lost: I8


class Tables(NamedTuple):
    """Everything that is recorded."""

    steps: Records[Step]
    states: Records[State]
    nodes: Records[NodeState]
    actions: Records[Action]
    lessons: Records[Lesson]
    incidents: Records[Incident]
    births: Records[Birth]
    deaths: Records[Death]
    refusals: Records[Refusal]


class Rows:
    """How many rows of each table are written."""

    steps: I8
    states: I8
    nodes: I8
    actions: I8
    lessons: I8
    incidents: I8
    births: I8
    deaths: I8
    refusals: I8


TABLES: Final[dict[str, type[Any]]] = {
    "steps": Step,
    "states": State,
    "nodes": NodeState,
    "actions": Action,
    "lessons": Lesson,
    "incidents": Incident,
    "births": Birth,
    "deaths": Death,
    "refusals": Refusal,
}


def dtype_of(kind: type[object]) -> np.dtype[np.void]:
    """Return a row's type, its fields aligned."""
    hints = get_type_hints(kind, include_extras=True)
    fields = [(name, given.__metadata__[0]) for name, given in hints.items()]
    return np.dtype((np.record, np.dtype(fields, align=True)))


def records(kind: type[R], rows: int) -> Records[R]:
    """Return so many empty rows."""
    return cast("Records[R]", np.zeros(rows, dtype=dtype_of(kind)))


def array_of(held: Records[object]) -> npt.NDArray[np.void]:
    """Return rows as the array that they are."""
    return cast("npt.NDArray[np.void]", held)


def grown(held: Records[R], rows: int) -> Records[R]:
    """Return the same rows with place for more."""
    old = array_of(held)
    larger = np.zeros(rows, dtype=old.dtype)
    larger[: len(old)] = old
    return cast("Records[R]", larger)
