"""Simulations come from an AgentFarm file: whole, once, with what does not fit."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from events.errors import Malformed, Missing
from events.experiments.experiments import OutsideExperimentDescribed
from events.experiments.outside import (
    OutsideRowsRecorded,
    OutsideSimulationEnded,
    OutsideSimulationOpened,
    unpacked,
)
from events.message import Event
from infra.clock import new_id, now
from infra.memory.event_log import MemoryEventLog
from infra.operations.importing_agentfarm import (
    BeingWritten,
    Report,
    import_agentfarm,
)
from services import guard
from services.handling import Handler
from services.routing import DECIDER_OF
from tests.given import meta_of


TABLES: Final = """
CREATE TABLE experiments (
    experiment_id VARCHAR PRIMARY KEY, name VARCHAR, description VARCHAR,
    hypothesis VARCHAR, status VARCHAR, variables JSON, results_summary JSON
);
CREATE TABLE simulations (
    simulation_id VARCHAR PRIMARY KEY, experiment_id VARCHAR, start_time DATETIME,
    end_time DATETIME, status VARCHAR, parameters JSON, results_summary JSON,
    simulation_db_path VARCHAR
);
CREATE TABLE simulation_config (
    config_id INTEGER PRIMARY KEY, simulation_id VARCHAR, timestamp INTEGER,
    config_data VARCHAR
);
CREATE TABLE agents (
    agent_id VARCHAR PRIMARY KEY, simulation_id VARCHAR, birth_time INTEGER,
    death_time INTEGER, agent_type VARCHAR, position_x FLOAT, mood VARCHAR
);
CREATE TABLE AgentStates (
    id VARCHAR PRIMARY KEY, simulation_id VARCHAR, step_number INTEGER,
    agent_id VARCHAR, resource_level FLOAT, is_defending BOOLEAN
);
CREATE TABLE agent_actions (
    action_id INTEGER PRIMARY KEY, simulation_id VARCHAR, step_number INTEGER,
    agent_id VARCHAR, action_type VARCHAR, reward FLOAT, details VARCHAR
);
CREATE TABLE reproduction_events (event_id INTEGER PRIMARY KEY);
INSERT INTO experiments VALUES
    ('exp_1', 'Dry summers', NULL, 'Sharing pays.', 'done', '{"rain": [1, 2]}', NULL);
INSERT INTO simulations VALUES
    ('sim_1', 'exp_1', '2025-07-01 10:00:00.000000', '2025-07-01 10:30:00', 'completed',
     '{"rain": 1}', '{"final": 2}', 'x.db'),
    ('sim_2', NULL, 'yesterday', NULL, 'running', '[1]', NULL, 'x.db');
INSERT INTO simulation_config VALUES (1, 'sim_1', 1751364000, '{"width": 100}');
INSERT INTO agents VALUES
    ('ant', 'sim_1', 0, 7, 'system', 1.5, 'calm'),
    ('bee', 'sim_1', 0, NULL, 'control', 1e999, NULL),
    ('cow', 'sim_2', 'early', NULL, 'control', 2, NULL),
    ('dog', 'sim_2', 3, NULL, 'independent', 'far', NULL);
INSERT INTO AgentStates VALUES
    ('ant-1', 'sim_1', 1, 'ant', 3, 1), ('ant-1b', 'sim_1', 1, 'ant', 4, 0);
"""


class Farm:
    """A log into which files are imported."""

    def __init__(self) -> None:
        self.log = MemoryEventLog(clock=now, ids=new_id)
        self.handler = Handler(log=self.log, deciders=DECIDER_OF, guard=guard.check)

    async def take(self, path: Path) -> Report:
        """Import a file."""
        return await import_agentfarm(
            path, handler=self.handler, meta=meta_of("user:operator")
        )

    async def events(self) -> list[Event]:
        """Return what happened."""
        return [recorded.event for recorded in await self.log.read(0, limit=10_000)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "farm.db"
    with closing(sqlite3.connect(made)) as file, file:
        file.executescript(TABLES)
        file.executemany(
            "INSERT INTO agent_actions VALUES (?, 'sim_1', ?, 'ant', 'move', 0.5, ?)",
            [(number, number, '{"to": 1}') for number in range(1, 2_502)],
        )
        file.execute(
            "INSERT INTO agent_actions VALUES"
            " (9000, 'sim_1', 1, 'nobody', 'move', 1, char(97, 0, 98))"
        )
    return made


async def test_every_row_that_fits_is_recorded_in_batches(path: Path) -> None:
    farm = Farm()
    report = await farm.take(path)
    events = await farm.events()
    batches = [each for each in events if isinstance(each, OutsideRowsRecorded)]
    first = report.simulations[0]

    assert report.rows == {"agents": 3, "agent_states": 2, "agent_actions": 2_502}
    assert [each.rows for each in batches if each.simulation_id == first] == [
        {"agents": 2},
        {"agent_states": 2},
        {"agent_actions": 1_000},
        {"agent_actions": 1_000},
        {"agent_actions": 502},
    ]
    assert unpacked(batches[0].body)["agents"] == {
        "agent_id": ["ant", "bee"],
        "birth_time": [0, 0],
        "death_time": [7, None],
        "agent_type": ["system", "control"],
        "position_x": [1.5, None],
    }
    assert report.new_events == len(events)


async def test_what_the_file_says_of_simulations_is_kept(path: Path) -> None:
    farm = Farm()
    await farm.take(path)
    events = await farm.events()
    one, two = (each for each in events if isinstance(each, OutsideSimulationOpened))
    (described,) = (
        each for each in events if isinstance(each, OutsideExperimentDescribed)
    )
    (ended,) = (each for each in events if isinstance(each, OutsideSimulationEnded))

    assert (one.name, one.model, one.origin) == ("sim_1", "AgentFarm", "imported")
    assert one.start_time is not None
    assert one.start_time.isoformat() == "2025-07-01T10:00:00+00:00"
    assert (one.parameters, one.configuration) == ({"rain": 1}, {"width": 100})
    assert (two.experiment_id, two.start_time, two.parameters) == (None, None, {})
    assert (described.external_id, described.name) == ("exp_1", "Dry summers")
    assert one.experiment_id == described.experiment_id
    assert (ended.simulation_id, ended.status) == (one.simulation_id, "completed")
    assert ended.results_summary == {"final": 2}


async def test_what_does_not_fit_is_told_with_its_place(path: Path) -> None:
    report = await Farm().take(path)
    told = {
        (each.table, each.row, each.column, each.imported) for each in report.problems
    }

    assert told == {
        ("reproduction_events", 0, "", True),
        ("agents", 0, "mood", True),
        ("agents", 2, "position_x", True),
        ("agents", 3, "birth_time", True),
        ("agents", 3, "agent_id, birth_time", False),
        ("agents", 4, "position_x", True),
        ("agent_states", 0, "step_number, agent_id", True),
        ("agent_actions", 0, "agent_id", True),
        ("agent_actions", 2_502 + 6_498, "details", True),
        ("simulations", 0, "start_time", True),
        ("simulations", 0, "parameters", True),
    }
    assert report.left_out == 1


async def test_importing_twice_changes_nothing(path: Path) -> None:
    farm = Farm()
    first = await farm.take(path)
    again = await farm.take(path)
    assert again.new_events == 0
    assert again.simulations == first.simulations
    assert again.rows == first.rows


async def test_an_import_that_broke_off_is_finished_by_the_next(path: Path) -> None:
    farm, whole = Farm(), Farm()
    stopped = "stopped"

    def stop(table: str, rows: int) -> None:
        if table == "agent_actions" and rows > 1_000:
            raise RuntimeError(stopped)

    with pytest.raises(RuntimeError, match=stopped):
        await import_agentfarm(
            path, handler=farm.handler, meta=meta_of("user:operator"), tell=stop
        )
    await farm.take(path)
    await whole.take(path)
    assert await farm.events() == await whole.events()


async def test_what_is_no_such_file_is_refused(tmp_path: Path, path: Path) -> None:
    text, empty = tmp_path / "text.db", tmp_path / "empty.db"
    text.write_text("no database at all, but long enough to be read as one" * 20)
    with closing(sqlite3.connect(empty)) as file, file:
        file.execute("CREATE TABLE other (id INTEGER)")
    for wrong in (text, empty):
        with pytest.raises(Malformed):
            await Farm().take(wrong)
    with pytest.raises(Missing):
        await Farm().take(tmp_path / "nowhere.db")
    path.with_name("farm.db-wal").write_bytes(b"x")
    with pytest.raises(BeingWritten):
        await Farm().take(path)
