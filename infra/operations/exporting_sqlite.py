"""A simulation as an SQLite file, with the names and keys that its readers know.

What a row refers to that is not in the file is NULL, so that every foreign key holds.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final


Write = Callable[[str, Sequence[Any]], None]
"""Writes rows of a table; tables come one after the other."""

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

ABOUT: Final = """
CREATE TABLE export (
    name VARCHAR(64) PRIMARY KEY,
    value VARCHAR(255)
);
"""
REFERENCES: Final = (
    ("agent_states", "agent_id", "agents", "agent_id"),
    ("agent_actions", "agent_id", "agents", "agent_id"),
    ("agent_actions", "action_target_id", "agents", "agent_id"),
    ("agent_actions", "state_before_id", "agent_states", "id"),
    ("agent_actions", "state_after_id", "agent_states", "id"),
    ("learning_experiences", "agent_id", "agents", "agent_id"),
    ("health_incidents", "agent_id", "agents", "agent_id"),
    ("simulations", "experiment_id", "experiments", "experiment_id"),
)


@contextmanager
def sqlite_file(path: Path, about: Mapping[str, str]) -> Iterator[Write]:
    """Lend what writes rows into a new SQLite file, which tells what it is about."""
    with closing(sqlite3.connect(path)) as file, file:
        file.executescript(SCHEMA)
        file.executescript(ABOUT)
        file.executemany("INSERT INTO export VALUES (?, ?)", about.items())

        def write(table: str, rows: Sequence[Any]) -> None:
            columns = columns_of(table)
            marks = ", ".join("?" * len(columns))
            file.executemany(
                f"INSERT INTO {table} VALUES ({marks})",  # noqa: S608 - ours
                [[plain(row[column]) for column in columns] for row in rows],
            )

        yield write
        for table, column, other, key in REFERENCES:
            file.execute(
                f"UPDATE {table} SET {column} = NULL"  # noqa: S608 - ours
                f" WHERE {column} IS NOT NULL AND NOT EXISTS ("
                f"SELECT 1 FROM {other} AS o WHERE o.{key} = {table}.{column})"
            )


def plain(value: object) -> object:
    """Return a value as SQLite holds it; moments are text, in UTC."""
    if isinstance(value, datetime):
        there = value.astimezone(UTC).replace(tzinfo=None)
        return there.isoformat(sep=" ", timespec="microseconds")
    return value


@cache
def columns_of(table: str) -> tuple[str, ...]:
    """Return the names of a table's columns."""
    with closing(sqlite3.connect(":memory:")) as file:
        file.executescript(SCHEMA)
        found = file.execute(f"PRAGMA table_info({table})").fetchall()
    return tuple(row[1] for row in found)
