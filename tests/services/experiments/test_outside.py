"""Simulations that run elsewhere: opened, recorded in order and once, ended."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.errors import Malformed, Missing
from events.experiments.experiments import OutsideExperimentDescribed
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
    unpacked,
)
from services.decoding import command_decoder
from services.experiments.common import AlreadyExists, Ended
from services.experiments.outside import (
    BatchDiffers,
    BatchMissing,
    NoRows,
    RecordOutsideRows,
    RunsElsewhere,
)
from services.experiments.outside_rows import (
    Agents,
    LengthsDiffer,
    OutsideRows,
)
from services.experiments.outside_rows import given as columns_of
from services.experiments.simulations import PauseSimulation
from tests.given import given
from tests.services.experiments.examples import CREATE, EXPERIMENT, REQUEST, SIMULATION
from tests.services.experiments.outside_examples import (
    DESCRIBE,
    ELSEWHERE,
    END,
    FIRST,
    GROUP,
    OPEN,
    SECOND,
)


def test_a_simulation_elsewhere_is_opened_with_its_experiment() -> None:
    result = given().when(OPEN)
    opened, described = result.events
    assert isinstance(opened, OutsideSimulationOpened)
    assert isinstance(described, OutsideExperimentDescribed)
    assert (opened.name, opened.model, opened.origin) == (
        "sim_001",
        "meadow 2.1",
        "recorded",
    )
    assert opened.experiment_id == described.experiment_id == GROUP
    assert described.revision == 1


def test_opening_twice_changes_nothing_and_otherwise_is_refused() -> None:
    given(OPEN).when(OPEN).then()
    given(OPEN).when(replace(OPEN, model="meadow 3")).then_refused(AlreadyExists)
    given(REQUEST).when(
        replace(OPEN, simulation_id=SIMULATION, experiment=None)
    ).then_refused(AlreadyExists)
    given(OPEN).when(replace(REQUEST, simulation_id=ELSEWHERE)).then_refused(
        AlreadyExists
    )


def test_an_experiment_elsewhere_is_described_anew_where_it_changed() -> None:
    ended = replace(DESCRIBE, status="completed")
    (described,) = given(DESCRIBE).when(ended).events
    assert isinstance(described, OutsideExperimentDescribed)
    assert (described.revision, described.status) == (2, "completed")
    given(DESCRIBE, ended).when(ended).then()


def test_an_experiment_is_made_here_or_elsewhere_and_not_both() -> None:
    given(CREATE).when(replace(DESCRIBE, experiment_id=EXPERIMENT)).then_refused(
        AlreadyExists
    )
    given(DESCRIBE).when(replace(CREATE, experiment_id=GROUP)).then_refused(
        AlreadyExists
    )


def test_a_batch_is_recorded_as_it_was_handed_in() -> None:
    (first,) = given(OPEN).when(FIRST).events
    assert isinstance(first, OutsideRowsRecorded)
    assert first.rows == {"simulation_steps": 2, "agents": 2}
    assert (first.before, first.last_step) == ({}, 1)
    assert first.latest == {
        "step_number": 1,
        "total_agents": 1,
        "average_reward": 0.5,
    }
    assert unpacked(first.body) == {
        "simulation_steps": {
            "step_number": [0, 1],
            "total_agents": [2, 1],
            "average_reward": [None, 0.5],
        },
        "agents": {
            "agent_id": ["ant", "bee"],
            "birth_time": [0, 0],
            "agent_type": ["control", None],
        },
    }


def test_a_batch_knows_how_many_rows_came_before_it() -> None:
    (second,) = given(OPEN, FIRST).when(SECOND).events
    assert isinstance(second, OutsideRowsRecorded)
    assert second.before == {"simulation_steps": 2, "agents": 2}
    assert (second.last_step, second.latest) == (4, {})


def test_a_batch_that_comes_again_changes_nothing() -> None:
    given(OPEN, FIRST, SECOND).when(FIRST).then()
    given(OPEN, FIRST, SECOND, END).when(SECOND).then()
    other = replace(FIRST, rows=SECOND.rows)
    given(OPEN, FIRST).when(other).then_refused(BatchDiffers)


def test_a_batch_is_not_recorded_before_the_one_before_it() -> None:
    given(OPEN).when(SECOND).then_refused(BatchMissing)
    given().when(FIRST).then_refused(Missing)
    given(OPEN, END).when(FIRST).then_refused(Ended)


def test_a_batch_has_rows_and_columns_of_one_length() -> None:
    given(OPEN).when(replace(FIRST, rows=OutsideRows())).then_refused(NoRows)
    short = OutsideRows(
        agents=Agents(agent_id=["ant", "bee"], birth_time=[0, 0], generation=[1])
    )
    with pytest.raises(LengthsDiffer) as refused:
        columns_of(short)
    assert refused.value.path == "$.rows.agents.generation"


def test_an_end_is_recorded_once() -> None:
    (ended,) = given(OPEN, FIRST).when(END).events
    assert isinstance(ended, OutsideSimulationEnded)
    given(OPEN, END).when(END).then()
    given(OPEN, END).when(replace(END, status="failed")).then_refused(Ended)


def test_what_runs_elsewhere_is_not_governed_here() -> None:
    pause = PauseSimulation(simulation_id=ELSEWHERE)
    given(OPEN).when(pause).then_refused(RunsElsewhere)


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        ({"agents": {"birth_time": [0]}}, "$.rows.agents"),
        ({"agents": {"agent_id": [""], "birth_time": [0]}}, "$.rows.agents.agent_id"),
        ({"agents": {"agent_id": ["a"], "birth_time": [-1]}}, "agents.birth_time[0]"),
        ({"agents": {"agent_id": ["a"], "birth_time": [0], "sex": [1]}}, "agents"),
        (
            {"agent_deaths": {"agent_id": ["a"], "death_time": [10**30]}},
            "agent_deaths.death_time[0]",
        ),
        (
            {"simulation_steps": {"step_number": list(range(1_001))}},
            "simulation_steps.step_number",
        ),
        ({"people": {}}, "$.rows"),
        ({"agents": {"agent_id": ["a\0"], "birth_time": [0]}}, "agent_id"),
    ],
    ids=str,
)
def test_bad_rows_are_refused_with_their_path(rows: dict[str, Any], path: str) -> None:
    decode = command_decoder((RecordOutsideRows,))
    command = {
        "type": "experiments.RecordOutsideRows",
        "simulation_id": str(ELSEWHERE),
        "batch": 1,
        "rows": rows,
    }
    with pytest.raises(Malformed) as refused:
        decode(msgspec.json.encode(command))
    assert path in (refused.value.path or "")
