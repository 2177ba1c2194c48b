"""Recorded chunks of a run as the columns that questions are asked of."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from events.experiments.columnar import decoded
from events.experiments.metrics import step_metrics
from events.experiments.vocabulary import (
    ACTIONS,
    ATTACK,
    CAUSES,
    DONE,
    KINDS,
    MODULES,
    OUTCOMES,
    SCALE,
    SHARE,
    SHARED,
)
from services.experiments.analysis.columns import (
    NONE,
    Actions,
    Agents,
    Coded,
    Experiences,
    Floats,
    Incidents,
    Ints,
    Reproductions,
    Resources,
    Run,
    States,
    Steps,
)
from services.experiments.analysis.elsewhere import recorded_elsewhere
from services.experiments.analysis.recording import (
    AnyRecording,
    OutsideRecording,
    Piece,
    Recording,
)


Rows = npt.NDArray[Any]
Tables = Mapping[str, Rows]

BIRTH: Final = ("agent", "step", "kind", "x", "y", "resources", "generation")
FLOATS: Final = frozenset(
    name for name, kind in Steps.__annotations__.items() if kind == Floats | None
)
METRICS: Final = tuple(name for name in Steps.__annotations__ if name != "others")


def recorded(recording: AnyRecording) -> Run:
    """Return the columns of a run, or raise `Malformed` for rows that are none."""
    if isinstance(recording, OutsideRecording):
        return recorded_elsewhere(recording)
    tables = tables_of(recording.pieces)
    births = tables.get("births")
    deaths = tables.get("deaths")
    return Run(
        steps=_steps(tables.get("steps"), recording),
        agents=_agents(births, deaths),
        states=_states(tables.get("states")),
        resources=_resources(tables.get("nodes")),
        actions=_actions(tables.get("actions")),
        experiences=_experiences(tables.get("lessons")),
        incidents=_incidents(tables.get("incidents")),
        reproductions=_reproductions(births, tables.get("refusals")),
        complete=recording.complete,
    )


def tables_of(pieces: Iterable[Piece]) -> Tables:
    """Return the rows of each table, as they were recorded."""
    parts: dict[str, list[Rows]] = {}
    for piece in pieces:
        for name, body in piece.tables.items():
            rows = decoded(body)
            if piece.upto is not None:
                rows = rows[rows["step"] <= piece.upto]
            parts.setdefault(name, []).append(rows)
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _steps(rows: Rows | None, recording: Recording) -> Steps:
    found: dict[str, Any] = {name: np.zeros(0) for name in METRICS}
    if rows is not None:
        found = step_metrics(rows, nodes=recording.nodes, ruleset=recording.ruleset)
    return Steps(
        **{
            name: column.astype(np.float64 if name in FLOATS else np.int64)
            for name, column in found.items()
        }
    )


def _agents(births: Rows | None, deaths: Rows | None) -> Agents:
    if births is None:
        births = np.zeros(0, dtype=[(name, "i8") for name in BIRTH])
    order = np.argsort(births["agent"], kind="stable")
    born = births[order]
    died = np.full(len(born), NONE, dtype=np.int64)
    if deaths is not None and len(born):
        died[np.searchsorted(born["agent"], deaths["agent"])] = deaths["step"]
    return Agents(
        agent_id=_ints(born["agent"]),
        birth_time=_ints(born["step"]),
        death_time=died,
        agent_type=Coded(_ints(born["kind"]), KINDS),
        position_x=_amounts(born["x"]),
        position_y=_amounts(born["y"]),
        initial_resources=_amounts(born["resources"]),
        generation=_ints(born["generation"]),
    )


def _states(rows: Rows | None) -> States | None:
    if rows is None:
        return None
    return States(
        step_number=_ints(rows["step"]),
        agent_id=_ints(rows["agent"]),
        resource_level=_amounts(rows["resources"]),
        current_health=_amounts(rows["health"]),
        total_reward=_amounts(rows["reward"]),
        position_x=_amounts(rows["x"]),
        position_y=_amounts(rows["y"]),
    )


def _resources(rows: Rows | None) -> Resources | None:
    if rows is None:
        return None
    return Resources(
        step_number=_ints(rows["step"]),
        resource_id=_ints(rows["node"]),
        amount=_amounts(rows["amount"]),
        position_x=_amounts(rows["x"]),
        position_y=_amounts(rows["y"]),
    )


def _actions(rows: Rows | None) -> Actions | None:
    if rows is None:
        return None
    at_others = np.isin(rows["action"], (SHARE, ATTACK))
    return Actions(
        step_number=_ints(rows["step"]),
        agent_id=_ints(rows["agent"]),
        action_type=Coded(_ints(rows["action"]), ACTIONS),
        action_target_id=np.where(at_others, rows["target"], NONE).astype(np.int64),
        resources_before=_amounts(rows["before"]),
        resources_after=_amounts(rows["after"]),
        reward=_amounts(rows["reward"]),
        succeeded=rows["outcome"] == DONE,
        told=np.ones(len(rows), dtype=bool),
    )


def _experiences(rows: Rows | None) -> Experiences | None:
    if rows is None:
        return None
    return Experiences(
        step_number=_ints(rows["step"]),
        agent_id=_ints(rows["agent"]),
        module_type=Coded(_ints(rows["module"]) % SHARED, MODULES),
        action_taken=_ints(rows["choice"]),
        reward=_amounts(rows["reward"]),
    )


def _incidents(rows: Rows | None) -> Incidents:
    if rows is None:
        nothing, none = np.zeros(0), np.zeros(0, dtype=np.int64)
        return Incidents(
            step_number=none,
            agent_id=none,
            health_before=nothing,
            health_after=nothing,
            cause=Coded(none, CAUSES),
        )
    return Incidents(
        step_number=_ints(rows["step"]),
        agent_id=_ints(rows["agent"]),
        health_before=_amounts(rows["before"]),
        health_after=_amounts(rows["after"]),
        cause=Coded(_ints(rows["cause"]), CAUSES),
    )


def _reproductions(births: Rows | None, refusals: Rows | None) -> Reproductions:
    """Return births as attempts that succeeded, beside those that were refused."""
    none = np.zeros(0, dtype=np.int64)
    of_parents = none, none
    if births is not None:
        born = births[births["parent"] >= 0]
        of_parents = _ints(born["step"]), _ints(born["parent"])
    refused = none, none, none
    if refusals is not None:
        refused = (
            _ints(refusals["step"]),
            _ints(refusals["agent"]),
            _ints(refusals["outcome"]),
        )
    won = np.arange(len(of_parents[0]) + len(refused[0])) < len(of_parents[0])
    return Reproductions(
        step_number=np.concatenate([of_parents[0], refused[0]]),
        agent_id=np.concatenate([of_parents[1], refused[1]]),
        succeeded=won,
        failure_reason=Coded(
            np.concatenate([np.full(len(of_parents[0]), DONE), refused[2]]), OUTCOMES
        ),
    )


def _ints(column: Rows) -> Ints:
    return column.astype(np.int64)


def _amounts(column: Rows) -> Floats:
    return column.astype(np.float64) / SCALE
