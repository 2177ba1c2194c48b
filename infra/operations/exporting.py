"""A simulation as an SQLite file, with the names and keys that its readers know.

The rows are those that the read tables hold for who exports; states, actions and
lessons are there as far as they were captured or asked for. What an action refers to
that is not in the file is NULL, so that every foreign key holds.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from events.errors import Missing, Refused
from events.ids import SimulationId
from services.http.reading import Reader
from services.identity import Identity


BATCH: Final = 50_000  # rows of a table that are read together

SCHEMA: Final = """
CREATE TABLE experiments (
    experiment_id VARCHAR(64) PRIMARY KEY,
    name VARCHAR(255),
    description VARCHAR(4096),
    hypothesis VARCHAR(4096),
    status VARCHAR(50),
    variables JSON,
    results_summary JSON
);
CREATE TABLE simulations (
    simulation_id INTEGER PRIMARY KEY,
    experiment_id VARCHAR(64) REFERENCES experiments (experiment_id),
    start_time DATETIME,
    end_time DATETIME,
    status VARCHAR(50),
    parameters JSON,
    results_summary JSON,
    simulation_db_path VARCHAR(255)
);
CREATE TABLE simulation_config (
    config_id INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    timestamp INTEGER,
    config_data VARCHAR(4096)
);
CREATE TABLE simulation_steps (
    step_number INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    total_agents INTEGER,
    system_agents INTEGER,
    independent_agents INTEGER,
    control_agents INTEGER,
    total_resources FLOAT,
    average_agent_resources FLOAT,
    births INTEGER,
    deaths INTEGER,
    current_max_generation INTEGER,
    resource_efficiency FLOAT,
    resource_distribution_entropy FLOAT,
    average_agent_health FLOAT,
    average_agent_age INTEGER,
    average_reward FLOAT,
    combat_encounters INTEGER,
    successful_attacks INTEGER,
    resources_shared FLOAT,
    genetic_diversity FLOAT,
    dominant_genome_ratio FLOAT,
    resources_consumed FLOAT
);
CREATE TABLE agents (
    agent_id VARCHAR(64) PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    birth_time INTEGER,
    death_time INTEGER,
    agent_type VARCHAR(50),
    position_x FLOAT,
    position_y FLOAT,
    initial_resources FLOAT,
    starting_health FLOAT,
    starvation_threshold INTEGER,
    genome_id VARCHAR(64),
    generation INTEGER
);
CREATE INDEX idx_agents_agent_type ON agents (agent_type);
CREATE INDEX idx_agents_birth_time ON agents (birth_time);
CREATE INDEX idx_agents_death_time ON agents (death_time);
CREATE TABLE agent_states (
    id VARCHAR(128) PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    step_number INTEGER,
    agent_id VARCHAR(64) REFERENCES agents (agent_id),
    position_x FLOAT,
    position_y FLOAT,
    position_z FLOAT,
    resource_level FLOAT,
    current_health FLOAT,
    is_defending BOOLEAN,
    total_reward FLOAT,
    age INTEGER
);
CREATE INDEX idx_agent_states_agent_id ON agent_states (agent_id);
CREATE INDEX idx_agent_states_step_number ON agent_states (step_number);
CREATE TABLE resource_states (
    id INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    step_number INTEGER,
    resource_id INTEGER,
    amount FLOAT,
    position_x FLOAT,
    position_y FLOAT
);
CREATE INDEX idx_resource_states_step_number ON resource_states (step_number);
CREATE INDEX idx_resource_states_resource_id ON resource_states (resource_id);
CREATE TABLE agent_actions (
    action_id INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    step_number INTEGER,
    agent_id VARCHAR(64) REFERENCES agents (agent_id),
    action_type VARCHAR(20),
    action_target_id VARCHAR(64) REFERENCES agents (agent_id),
    state_before_id VARCHAR(128) REFERENCES agent_states (id),
    state_after_id VARCHAR(128) REFERENCES agent_states (id),
    resources_before FLOAT,
    resources_after FLOAT,
    reward FLOAT,
    details VARCHAR(1024)
);
CREATE INDEX idx_agent_actions_step_number ON agent_actions (step_number);
CREATE INDEX idx_agent_actions_agent_id ON agent_actions (agent_id);
CREATE INDEX idx_agent_actions_action_type ON agent_actions (action_type);
CREATE TABLE learning_experiences (
    experience_id INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    step_number INTEGER,
    agent_id VARCHAR(64) REFERENCES agents (agent_id),
    module_type VARCHAR(50),
    module_id VARCHAR(64),
    action_taken INTEGER,
    action_taken_mapped VARCHAR(20),
    reward FLOAT
);
CREATE INDEX idx_learning_experiences_step_number
    ON learning_experiences (step_number);
CREATE INDEX idx_learning_experiences_agent_id ON learning_experiences (agent_id);
CREATE INDEX idx_learning_experiences_module_type
    ON learning_experiences (module_type);
CREATE TABLE health_incidents (
    incident_id INTEGER PRIMARY KEY,
    simulation_id INTEGER REFERENCES simulations (simulation_id),
    step_number INTEGER,
    agent_id VARCHAR(64) REFERENCES agents (agent_id),
    health_before FLOAT,
    health_after FLOAT,
    cause VARCHAR(50),
    details VARCHAR(512)
);
CREATE INDEX idx_health_incidents_step_number ON health_incidents (step_number);
CREATE INDEX idx_health_incidents_agent_id ON health_incidents (agent_id);
"""

BY_ROW: Final = {
    "simulation_steps": ("step_number",),
    "agents": ("agent",),
    "agent_states": ("step_number", "agent"),
    "resource_states": ("step_number", "resource_id"),
    "agent_actions": ("step_number", "agent"),
    "learning_experiences": ("step_number", "agent", "module"),
    "health_incidents": ("step_number", "place"),
}
SETTLED: Final = """
UPDATE agent_actions
SET state_before_id = (
    SELECT id FROM agent_states WHERE id = state_before_id
), state_after_id = (
    SELECT id FROM agent_states WHERE id = state_after_id
);
"""


class FileThere(Refused):
    """There is a file of this name."""


async def export_sqlite(
    reader: Reader,
    identity: Identity,
    run: SimulationId,
    path: Path,
    *,
    tell: Callable[[str, int], None],
) -> dict[str, int]:
    """Write a simulation into a new SQLite file, and return how many rows of each."""
    found = await reader.read(
        identity, "SELECT * FROM experiments.simulations WHERE _id = $1", [str(run)]
    )
    if not found:
        raise Missing("There is no such simulation.")
    begin(path)
    simulation = cast("Mapping[str, Any]", found[0])
    number, experiment = simulation["simulation_id"], simulation["experiment_id"]
    written: dict[str, int] = {}
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(SCHEMA)
        for table, column, value in (
            ("experiments", "experiment_id", experiment),
            ("simulations", "simulation_id", number),
            ("simulation_config", "simulation_id", number),
        ):
            rows = await reader.read(
                identity,
                f"SELECT * FROM experiments.{table} WHERE {column} = $1",  # noqa: S608 - ours
                [value],
            )
            written[table] = insert(file, table, rows)
        for table, order in BY_ROW.items():
            written[table] = 0
            async for rows in pages(reader, identity, table, order, number):
                written[table] += insert(file, table, rows)
                tell(table, written[table])
        file.executescript(SETTLED)
    return written


def begin(path: Path) -> None:
    """Make an empty file, or raise where there is one."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        message = f"There is a file {path} already."
        raise FileThere(message) from None


async def pages(
    reader: Reader,
    identity: Identity,
    table: str,
    order: Sequence[str],
    simulation: int,
) -> Any:  # noqa: ANN401 - a generator of rows
    """Yield the rows of a simulation in the order of their key, page by page."""
    listed = ", ".join(order)
    last: Sequence[object] = [-1] * len(order)
    places = ", ".join(f"${place}" for place in range(2, len(order) + 2))
    query = (
        f"SELECT * FROM experiments.{table} WHERE simulation_id = $1"  # noqa: S608 - ours
        f" AND ({listed}) > ({places}) ORDER BY {listed} LIMIT {BATCH}"
    )
    while True:
        rows = await reader.read(identity, query, [simulation, *last])
        if rows:
            yield rows
        if len(rows) < BATCH:
            return
        last = [rows[-1][column] for column in order]


def insert(file: sqlite3.Connection, table: str, rows: Sequence[Any]) -> int:
    """Write rows into a table of the file, and return how many."""
    columns = [row[1] for row in file.execute(f"PRAGMA table_info({table})")]
    marks = ", ".join("?" * len(columns))
    file.executemany(
        f"INSERT INTO {table} VALUES ({marks})",  # noqa: S608 - ours
        [[plain(row[column]) for column in columns] for row in rows],
    )
    return len(rows)


def plain(value: object) -> object:
    """Return a value as SQLite holds it; moments and JSON are text."""
    if value is None or isinstance(value, int | float | str):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat(sep=" ")
    return msgspec.json.encode(value).decode()
