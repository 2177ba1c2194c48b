"""Rows that were recorded elsewhere as the columns that questions are asked of.

Nothing is made up for what a model did not say. A column of counts that some step lacks
is not there, and neither are births, deaths and consumption where steps are left out.
Totals since the start do not fall: a column that does is none. `SystemAgent` is a
`system` agent. Agents of other types are counted step by step from their births and
deaths, if that adds up to what was said of all.

An attempt to reproduce is an action `reproduce` whose details say what became of it. As
models may record only those that succeed, one that failed has to be among them; as they
may record only some actions, those that succeeded have to be as many as were born.
"""

from collections.abc import Iterable, Mapping, Sequence
from sys import intern
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from events.experiments.outside import unpacked
from services.experiments.analysis.columns import (
    NONE,
    TYPES,
    Actions,
    Agents,
    Coded,
    Experiences,
    Flags,
    Floats,
    Incidents,
    Ints,
    Reproductions,
    Resources,
    Run,
    States,
    Steps,
)
from services.experiments.analysis.recording import OutsideRecording


Column: TypeAlias = npt.NDArray[Any]
Table: TypeAlias = Mapping[str, Column]

TEXTS: Final = frozenset(
    {"agent_id", "agent_type", "action_type", "action_target_id", "module_type"}
    | {"cause", "details"}
)
UNREAD: Final = frozenset(
    {"id", "action_id", "experience_id", "incident_id", "module_id", "genome_id"}
    | {"state_before_id", "state_after_id", "action_taken_mapped"}
)
COUNTS: Final = (
    *("total_agents", "system_agents", "independent_agents", "control_agents"),
    *("births", "deaths", "current_max_generation"),
    *("combat_encounters", "successful_attacks"),
)
TOTALS: Final = ("combat_encounters", "successful_attacks", "resources_shared")
IN_A_STEP: Final = ("births", "deaths", "resources_consumed")
WHOLE: Final = frozenset({*TOTALS, *IN_A_STEP, "total_resources"})
REPRODUCE: Final = "reproduce"
WAITED: Final = "waited"
DONE: Final = "done"
UNSAID: Final = "unsaid"


class Details(msgspec.Struct, frozen=True):
    """What the details of an action say of it, in any of the known words."""

    outcome: str | None = None
    success: bool | None = None
    reason: str | None = None
    failure_reason: str | None = None

    @property
    def succeeded(self) -> bool | None:
        """Say whether it succeeded, None where that is not told."""
        if self.success is not None or self.outcome is None:
            return self.success
        return self.outcome == DONE

    @property
    def why(self) -> str:
        """Return why it did not succeed."""
        return self.reason or self.failure_reason or self.outcome or UNSAID


NOTHING: Final = Details()
_details: Final = msgspec.json.Decoder(Details)


def recorded_elsewhere(recording: OutsideRecording) -> Run:
    """Return the columns of a run that was made elsewhere."""
    tables = tables_of(recording)
    names = Names(tables.get("agents", {}).get("agent_id", ()))
    agents = _agents(tables, names)
    founded = agents.birth_time.min() if len(agents.birth_time) else 0
    born = int((agents.birth_time > founded).sum())
    actions, tried = _actions(tables.get("agent_actions"), names, born)
    return Run(
        steps=_steps(tables.get("simulation_steps", {}), agents),
        agents=agents,
        states=_states(tables.get("agent_states"), names),
        resources=_resources(tables.get("resource_states")),
        actions=actions,
        experiences=_experiences(tables.get("learning_experiences"), names),
        incidents=_incidents(tables.get("health_incidents"), names),
        reproductions=tried,
        complete=False,
        until=recording.last_step,
        full_health=_full_health(tables.get("agents", {})),
    )


class Names:
    """Numbers agents in the order in which they are told of."""

    def __init__(self, first: Iterable[str]) -> None:
        self._places: dict[str | None, int] = {
            name: at for at, name in enumerate(dict.fromkeys(first))
        }

    def numbers(self, names: Column) -> Ints:
        """Return agents' numbers, -1 for None."""
        place = self._places
        return np.array(
            [
                NONE if name is None else place.setdefault(name, len(place))
                for name in names
            ],
            dtype=np.int64,
        )


def tables_of(recording: OutsideRecording) -> dict[str, Table]:
    """Return the rows of each table, each key once, as the last row of it says."""
    parts: dict[str, list[tuple[int, dict[str, Column]]]] = {}
    for body in recording.batches:
        for name, columns in unpacked(body).items():
            if name in recording.tables:
                count = len(next(iter(columns.values())))
                own = {
                    of: _column(of, values)
                    for of, values in columns.items()
                    if of not in UNREAD
                }
                parts.setdefault(name, []).append((count, own))
    tables = {name: _joined(batches) for name, batches in parts.items()}
    for name, key in {
        "simulation_steps": ("step_number",),
        "agent_states": ("step_number", "agent_id"),
        "resource_states": ("step_number", "resource_id"),
    }.items():
        if name in tables:
            tables[name] = _last_of_each(tables[name], key)
    if "agents" in parts:
        tables["agents"] = _living_and_dead(recording)
    return tables


def _column(name: str, values: Sequence[Any]) -> Column:
    """Return values as text, or as numbers with NaN for what is not known."""
    if name not in TEXTS:
        return np.array(values, dtype=np.float64)
    if name != "details":
        values = [None if each is None else intern(each) for each in values]
    return np.array(values, dtype=object)


def _joined(batches: Sequence[tuple[int, dict[str, Column]]]) -> Table:
    names = dict.fromkeys(name for _, columns in batches for name in columns)
    return {
        name: np.concatenate(
            [
                columns[name] if name in columns else _column(name, [None] * count)
                for count, columns in batches
            ]
        )
        for name in names
    }


def _last_of_each(table: Table, key: tuple[str, ...]) -> Table:
    """Return rows in order of steps, of each key the last one that was handed in."""
    codes = [_numbered(table[name]) for name in key]
    order = np.lexsort(codes[::-1])
    changed = np.any([np.diff(each[order]) != 0 for each in codes], axis=0)
    kept = order[np.append(changed, True)]
    kept = kept[np.lexsort((kept, table["step_number"][kept]))]
    return {name: column[kept] for name, column in table.items()}


def _numbered(column: Column) -> Ints:
    """Return numbers that are equal where values are."""
    if column.dtype != object:
        return _ints(column)
    place: dict[str, int] = {}
    codes = [place.setdefault(value, len(place)) for value in column]
    return np.array(codes, dtype=np.int64)


def _living_and_dead(recording: OutsideRecording) -> Table:
    """Return agents as the last row of each says, with deaths told after it."""
    found: dict[str, dict[str, Any]] = {}
    names: dict[str, None] = {}
    for body in recording.batches:
        batch = unpacked(body)
        agents, deaths = batch.get("agents", {}), batch.get("agent_deaths", {})
        names |= dict.fromkeys(agents)
        for row in zip(*agents.values(), strict=True):
            told = dict(zip(agents, row, strict=True))
            found[told["agent_id"]] = told
        if deaths:
            names["death_time"] = None
            died = zip(deaths["agent_id"], deaths["death_time"], strict=True)
            for agent, step in died:
                if agent in found:
                    found[agent]["death_time"] = step
    return {
        name: _column(name, [row.get(name) for row in found.values()])
        for name in names
        if name not in UNREAD
    }


def _steps(table: Table, agents: Agents) -> Steps:
    numbers = _ints(table.get("step_number", np.zeros(0)))
    every = bool((np.diff(numbers) == 1).all())
    found: dict[str, Any] = {}
    for name in Steps.__annotations__:
        column = table.get(name)
        if name in ("step_number", "others") or column is None:
            continue
        known = ~np.isnan(column)
        if not known.any() or (name in (*COUNTS, *WHOLE) and not known.all()):
            continue
        if name in TOTALS and (np.diff(column) < 0).any():
            continue
        if name in IN_A_STEP and not every:
            continue
        found[name] = _ints(column) if name in COUNTS else column
    columns = {
        name: found.get(name)
        for name in Steps.__annotations__
        if name not in ("step_number", "others")
    }
    return Steps(
        step_number=numbers,
        **columns,
        others=_of_other_types(numbers, found.get("total_agents"), agents),
    )


def _of_other_types(
    numbers: Ints, total: Ints | None, agents: Agents
) -> dict[str, Ints]:
    """Return how many of each type live, if there are others than the known ones."""
    names = agents.agent_type.names
    if set(names) <= set(TYPES) or total is None or not agents.mortal:
        return {}
    counts = {
        name: _living(numbers, agents, agents.agent_type.rows(name)) for name in names
    }
    return counts if np.array_equal(sum(counts.values()), total) else {}


def _living(numbers: Ints, agents: Agents, rows: Flags) -> Ints:
    born = np.sort(agents.birth_time[rows])
    died = np.sort(agents.death_time[rows & (agents.death_time != NONE)])
    return np.searchsorted(born, numbers, "right") - np.searchsorted(
        died, numbers, "right"
    )


def _agents(tables: Mapping[str, Table], names: Names) -> Agents:
    table = tables.get("agents", {})
    numbers = names.numbers(table.get("agent_id", np.zeros(0)))
    count = len(numbers)

    def number(name: str) -> Ints:
        column = table.get(name)
        return (
            np.full(count, NONE, dtype=np.int64)
            if column is None
            else _ints(np.where(np.isnan(column), NONE, column))
        )

    return Agents(
        agent_id=numbers,
        birth_time=number("birth_time"),
        death_time=number("death_time"),
        agent_type=_coded(
            [
                None if name is None else _known(name)
                for name in table.get("agent_type", [None] * count)
            ]
        ),
        position_x=_amounts(table, "position_x", count),
        position_y=_amounts(table, "position_y", count),
        initial_resources=_amounts(table, "initial_resources", count),
        generation=number("generation"),
        mortal="death_time" in table,
    )


def _known(name: str) -> str:
    """Return the name of a type, `SystemAgent` and the like as the tables have it."""
    plain = name.casefold().removesuffix("agent").rstrip("_ ")
    return plain if plain in TYPES else name


def _full_health(agents: Table) -> float | None:
    column = agents.get("starting_health")
    if column is None or not len(column) or not (column == column[0]).all():
        return None
    return float(column[0]) or None


def _states(table: Table | None, names: Names) -> States | None:
    if table is None:
        return None
    count = len(table["step_number"])
    return States(
        step_number=_ints(table["step_number"]),
        agent_id=names.numbers(table["agent_id"]),
        resource_level=_amounts(table, "resource_level", count),
        current_health=_amounts(table, "current_health", count),
        total_reward=_amounts(table, "total_reward", count),
        position_x=_amounts(table, "position_x", count),
        position_y=_amounts(table, "position_y", count),
    )


def _resources(table: Table | None) -> Resources | None:
    if table is None:
        return None
    count = len(table["step_number"])
    return Resources(
        step_number=_ints(table["step_number"]),
        resource_id=_ints(table["resource_id"]),
        amount=_amounts(table, "amount", count),
        position_x=_amounts(table, "position_x", count),
        position_y=_amounts(table, "position_y", count),
    )


def _actions(
    table: Table | None, names: Names, born: int
) -> tuple[Actions | None, Reproductions | None]:
    if table is None:
        return None, None
    count = len(table["step_number"])
    details = [_said(each) for each in table.get("details", [None] * count)]
    kinds = _coded(table["action_type"])
    targets = table.get("action_target_id")
    if targets is not None:  # a child is no other agent that one acts on
        targets = np.array(targets, dtype=object)
        targets[kinds.rows(REPRODUCE)] = None
    actions = Actions(
        step_number=_ints(table["step_number"]),
        agent_id=names.numbers(table["agent_id"]),
        action_type=kinds,
        action_target_id=None if targets is None else names.numbers(targets),
        resources_before=_amounts(table, "resources_before", count),
        resources_after=_amounts(table, "resources_after", count),
        reward=_amounts(table, "reward", count),
        succeeded=np.array([bool(each.succeeded) for each in details], dtype=bool),
        told=np.array([each.succeeded is not None for each in details], dtype=bool),
    )
    return actions, _reproductions(actions, details, born)


def _reproductions(
    actions: Actions, details: Sequence[Details], born: int
) -> Reproductions | None:
    waited = np.array([each.outcome == WAITED for each in details], dtype=bool)
    tried = actions.action_type.rows(REPRODUCE) & actions.told & ~waited
    won = int((tried & actions.succeeded).sum())
    if not (tried & ~actions.succeeded).any() or won < born:
        return None
    return Reproductions(
        step_number=actions.step_number[tried],
        agent_id=actions.agent_id[tried],
        succeeded=actions.succeeded[tried],
        failure_reason=Coded.of([details[int(at)].why for at in np.flatnonzero(tried)]),
    )


def _said(details: str | None) -> Details:
    """Return what details say, nothing of those that are no such JSON."""
    if not details or not details.startswith("{"):
        return NOTHING
    try:
        return _details.decode(details)
    except msgspec.MsgspecError:
        return NOTHING


def _experiences(table: Table | None, names: Names) -> Experiences | None:
    if table is None:
        return None
    count = len(table["step_number"])
    choices = _amounts(table, "action_taken", count)
    return Experiences(
        step_number=_ints(table["step_number"]),
        agent_id=names.numbers(table["agent_id"]),
        module_type=_coded(table["module_type"]),
        action_taken=_ints(np.where(np.isnan(choices), NONE, choices)),
        reward=_amounts(table, "reward", count),
    )


def _incidents(table: Table | None, names: Names) -> Incidents | None:
    if table is None:
        return None
    count = len(table["step_number"])
    return Incidents(
        step_number=_ints(table["step_number"]),
        agent_id=names.numbers(table["agent_id"]),
        health_before=_amounts(table, "health_before", count),
        health_after=_amounts(table, "health_after", count),
        cause=_coded(table.get("cause", [None] * count)),
    )


def _coded(values: Iterable[str | None]) -> Coded:
    """Return text as codes, -1 where there is none."""
    listed = list(values)
    names = tuple(dict.fromkeys(value for value in listed if value is not None))
    place: dict[str | None, int] = {name: at for at, name in enumerate(names)}
    codes = [place.get(value, NONE) for value in listed]
    return Coded(np.array(codes, dtype=np.int64), names)


def _ints(column: Column) -> Ints:
    return column.astype(np.int64)


def _amounts(table: Table, name: str, count: int) -> Floats:
    return table.get(name, np.full(count, np.nan))
