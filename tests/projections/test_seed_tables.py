"""The read tables are those that their users were promised."""

import importlib
import pkgutil
from collections import Counter
from typing import Final

import pytest

from projections.catalogue import GROUPS, TABLES
from projections.projection import Column, Group, Table


STRING: Final = "text"
NAME: Final = "varchar(255)"
TIMESTAMP: Final = "timestamptz"
BOOLEAN: Final = "boolean"
INTEGER: Final = "integer"
JSON: Final = "jsonb"
UUID: Final = "uuid"
TEXTS: Final = "text[]"
NUMERIC: Final = "numeric"

SHARED: Final = {"columns", "outside"}  # what modules of tables have in common

PROMISED: Final = {
    "testing.simulation_personas": {
        "_id": STRING,
        "created_at": TIMESTAMP,
        "creator_user_id": STRING,
        "deleted_at": TIMESTAMP,
        "deleted_by_user_id": STRING,
        "is_deleted": BOOLEAN,
        "latest_version_background": STRING,
        "name": STRING,
        "org_id": STRING,
        "region_name": STRING,
        "role": STRING,
        "tags": JSON,
        "updated_at": TIMESTAMP,
        "updated_by_user_id": STRING,
    },
    "testing.simulation_persona_versions": {
        "_id": STRING,
        "background": STRING,
        "created_at": TIMESTAMP,
        "org_id": STRING,
        "preferred_language": STRING,
        "region_name": STRING,
        "simulation_persona_id": STRING,
        "timezone": STRING,
        "updated_at": TIMESTAMP,
        "version": INTEGER,
    },
    "testing.simulation_scenarios": {
        "_id": STRING,
        "created_at": TIMESTAMP,
        "creator_user_id": STRING,
        "deleted_at": TIMESTAMP,
        "deleted_by_user_id": STRING,
        "is_deleted": BOOLEAN,
        "latest_version_instructions": STRING,
        "latest_version_objective": STRING,
        "name": STRING,
        "org_id": STRING,
        "region_name": STRING,
        "tags": JSON,
        "updated_at": TIMESTAMP,
        "updated_by_user_id": STRING,
    },
    "testing.simulation_scenario_versions": {
        "_id": STRING,
        "created_at": TIMESTAMP,
        "initial_message_config": JSON,
        "instructions": STRING,
        "objective": STRING,
        "org_id": STRING,
        "region_name": STRING,
        "simulation_scenario_id": STRING,
        "updated_at": TIMESTAMP,
        "version": INTEGER,
    },
    "testing.simulation_unit_tests": {
        "_id": STRING,
        "created_at": TIMESTAMP,
        "creator_user_id": STRING,
        "description": STRING,
        "is_deleted": BOOLEAN,
        "max_interactions": INTEGER,
        "name": STRING,
        "org_id": STRING,
        "persona_id": STRING,
        "region_name": STRING,
        "scenario_id": STRING,
        "service_id": STRING,
        "service_version_set_name": STRING,
        "success_criterions": JSON,
        "tags": JSON,
        "updated_at": TIMESTAMP,
        "updated_by_user_id": STRING,
    },
    "testing.simulation_unit_test_sets": {
        "_id": STRING,
        "created_at": TIMESTAMP,
        "creator_user_id": STRING,
        "description": STRING,
        "is_deleted": BOOLEAN,
        "last_triggered_run_id": STRING,
        "name": STRING,
        "org_id": STRING,
        "region_name": STRING,
        "tags": JSON,
        "unit_test_runs": JSON,
        "updated_at": TIMESTAMP,
        "updated_by_user_id": STRING,
    },
    "testing.simulation_unit_test_set_runs": {
        "_id": STRING,
        "artifacts_generated": JSON,
        "created_at": TIMESTAMP,
        "creator_user_id": STRING,
        "errored": BOOLEAN,
        "failed_metrics": JSON,
        "org_id": STRING,
        "region_name": STRING,
        "simulation_unit_test_set_id": STRING,
        "unit_test_run_results": JSON,
        "unit_test_run_specs": JSON,
        "updated_at": TIMESTAMP,
    },
    "playgrounds.users": {
        "id": UUID,
        "email": NAME,
        "full_name": NAME,
        "role": STRING,
        "created_at": TIMESTAMP,
        "updated_at": TIMESTAMP,
        "last_login": TIMESTAMP,
    },
    "audit.audit_log": {
        "id": UUID,
        "user_id": UUID,
        "action": "varchar(255)",
        "resource_type": "varchar(100)",
        "resource_id": UUID,
        "old_values": JSON,
        "new_values": JSON,
        "ip_address": "inet",
        "created_at": TIMESTAMP,
    },
    "playgrounds.playgrounds": {
        "id": UUID,
        "name": STRING,
        "type": STRING,
        "description": STRING,
        "support_text": STRING,
        "created_by": UUID,
        "is_active": BOOLEAN,
        "restricted_emails": TEXTS,
        "created_at": TIMESTAMP,
        "updated_at": TIMESTAMP,
    },
    "playgrounds.model_configurations": {
        "id": UUID,
        "playground_id": UUID,
        "model_key": STRING,
        "model_name": STRING,
        "embed_code": STRING,
        "max_evaluations": INTEGER,
        "created_at": TIMESTAMP,
    },
    "playgrounds.evaluation_counters": {
        "id": UUID,
        "playground_id": UUID,
        "model_key": STRING,
        "current_count": INTEGER,
        "created_at": TIMESTAMP,
        "updated_at": TIMESTAMP,
    },
    "playgrounds.questions": {
        "id": UUID,
        "playground_id": UUID,
        "model_key": STRING,
        "question_text": STRING,
        "question_type": STRING,
        "options": JSON,
        "order_index": INTEGER,
        "required": BOOLEAN,
        "created_at": TIMESTAMP,
    },
    "playgrounds.evaluations": {
        "id": UUID,
        "playground_id": UUID,
        "user_id": UUID,
        "model_key": STRING,
        "question_id": UUID,
        "answer_text": STRING,
        "answer_value": STRING,
        "rating": INTEGER,
        "session_id": UUID,
        "created_at": TIMESTAMP,
    },
    "playgrounds.playground_metrics": {
        "id": UUID,
        "name": STRING,
        "type": STRING,
        "total_testers": INTEGER,
        "total_evaluations": INTEGER,
    },
    "playgrounds.question_metrics": {
        "id": UUID,
        "question_text": STRING,
        "playground_id": UUID,
        "model_key": STRING,
        "answer_value": STRING,
        "response_count": INTEGER,
        "percentage": NUMERIC,
    },
    "playgrounds.open_responses": {
        "id": UUID,
        "playground_id": UUID,
        "question_id": UUID,
        "model_key": STRING,
        "answer_text": STRING,
        "session_id": UUID,
        "created_at": TIMESTAMP,
    },
}

EVERY_GROUP = pytest.mark.parametrize("group", GROUPS.values(), ids=list(GROUPS))
EVERY_TABLE = pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))


def columns_of(table: Table) -> tuple[Column, ...]:
    return (*table.columns, *table.view_columns)


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_table_has_its_promised_columns(name: str) -> None:
    shown = {each.name: each.type for each in columns_of(TABLES[name])}
    assert PROMISED[name].items() <= shown.items()


@EVERY_TABLE
def test_no_column_is_declared_twice(table: Table) -> None:
    counts = Counter(column.name for column in columns_of(table))
    assert max(counts.values()) == 1


@EVERY_TABLE
def test_every_table_and_column_is_described(table: Table) -> None:
    assert table.note
    assert [column.name for column in columns_of(table) if not column.note] == []


@EVERY_TABLE
def test_every_table_shows_rows_of_the_own_organisation_only(table: Table) -> None:
    own = "org_id = access.current_org()"
    assert table.rows == own or table.rows.startswith(f"{own} AND (")
    assert "org_id" in {column.name for column in table.columns}


@EVERY_TABLE
def test_keys_and_indexes_name_columns_of_the_table(table: Table) -> None:
    names = {column.name for column in table.columns}
    indexed = {each.split()[0] for index in table.indexes for each in index.columns}
    assert {*table.key, *indexed} <= names
    shown = {column.name for column in columns_of(table)}
    unique = [each.columns for each in table.indexes if each.unique]
    assert any(set(key) <= set(table.shown_key) for key in (table.key, *unique))
    assert set(table.shown_key) <= shown


@EVERY_TABLE
def test_references_are_indexed_and_point_to_a_key_of_a_table(table: Table) -> None:
    leading = {table.key[0], *(index.columns[0] for index in table.indexes)}
    for reference in table.references:
        assert reference.column in leading
        assert TABLES[reference.table].key[-1] == reference.target


@EVERY_TABLE
def test_views_take_every_column_of_the_table(table: Table) -> None:
    assert (table.view is None) == (not table.view_columns)
    if table.view is not None:
        assert "t.*" in table.view
        assert "FROM {table} AS t" in table.view


@EVERY_GROUP
def test_a_view_stands_after_the_tables_that_it_reads(group: Group) -> None:
    known: set[str] = set()
    for projection in group.projections:
        view = projection.table.view or ""
        later = {each.name for each in group.projections} - known
        assert not [name for name in later if f" {name} " in view]
        known.add(projection.name)


@EVERY_GROUP
def test_every_module_is_in_the_catalogue_under_its_name(group: Group) -> None:
    package = importlib.import_module(f"projections.{group.name}")
    modules = {
        module.name: importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in SHARED
    }
    assert {
        f"{group.name}.{name}": module.PROJECTION for name, module in modules.items()
    } == {projection.name: projection for projection in group.projections}


def test_every_group_is_known_by_its_name() -> None:
    assert [group.name for group in GROUPS.values()] == list(GROUPS)
