"""Simulations are exported as files that other tools open."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import MetaData, create_engine, select

from events.errors import Missing
from infra.operations.exporting_sqlite import columns_of
from services.client.client import Client
from tests.infra.commands.process import Up, rehearsal
from tests.infra.commands.test_experiments import ORG, experiments, made, sql


pytestmark = pytest.mark.usefixtures("compiled")

Row = Mapping[str, object]

KEYS = {
    "agents": "agent_id",
    "simulation_steps": "step_number",
    "agent_states": "id",
    "resource_states": "id",
    "agent_actions": "action_id",
    "learning_experiences": "experience_id",
    "health_incidents": "incident_id",
}
JSON_COLUMNS = {"parameters", "results_summary", "variables"}


@pytest.fixture(scope="module")
async def found(up: Up) -> Any:  # noqa: ANN401 - JSON
    """Return what an experiment came to, every fiftieth step of which is in tables."""
    return (await made(up, "--capture", 50)).json


async def test_a_run_is_exported_with_keys_that_hold(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
) -> None:
    run, out = found["runs"][0]["simulation_id"], tmp_path / "run.sqlite"
    exported = await experiments(up, "export", run, "--out", out)
    again = await experiments(up, "export", run, "--out", out)

    assert exported.code == 0, exported
    assert again.problem == ("FileThere", None)
    with closing(sqlite3.connect(out)) as file:
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
        counts = {
            table: file.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
            for table in exported.json["rows"]
        }
        assert counts == exported.json["rows"]
        assert (counts["experiments"], counts["simulation_steps"]) == (1, 401)
        ids = file.execute(
            "SELECT id, agent_id || '-' || step_number FROM agent_states"
        ).fetchall()
        assert ids
        assert all(given == made_of for given, made_of in ids)
        after = "SELECT count(state_after_id) FROM agent_actions WHERE step_number = 50"
        assert file.execute(after).fetchone()[0]


async def test_an_exported_file_opens_in_tools_that_read_its_keys(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
) -> None:
    run, out = found["runs"][0]["simulation_id"], tmp_path / "run.sqlite"
    await experiments(up, "export", run, "--out", out)
    engine = create_engine(f"sqlite:///{out}")
    known = MetaData()
    known.reflect(engine)
    tables = known.tables
    targets = {
        (key.parent.name, key.target_fullname)
        for key in tables["agent_actions"].foreign_keys
    }
    actions, agents = tables["agent_actions"], tables["agents"]
    states, simulations = tables["agent_states"], tables["simulations"]
    joined = (
        select(agents.c.agent_type, states.c.age, actions.c.reward)
        .join(agents, agents.c.agent_id == actions.c.agent_id)
        .join(states, states.c.id == actions.c.state_after_id)
        .where(actions.c.step_number == 50)
    )
    with engine.connect() as connection:
        rows = connection.execute(joined).all()
        started = connection.execute(select(simulations.c.start_time)).scalar_one()

    assert targets == {
        ("simulation_id", "simulations.simulation_id"),
        ("agent_id", "agents.agent_id"),
        ("action_target_id", "agents.agent_id"),
        ("state_before_id", "agent_states.id"),
        ("state_after_id", "agent_states.id"),
    }
    assert {row.agent_type for row in rows} <= {"system", "independent", "control"}
    assert rows
    assert isinstance(started, datetime)
    engine.dispose()


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
async def test_a_run_is_exported_as_typed_columns(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
    kind: str,
) -> None:
    report, out = found["runs"][0], tmp_path / "run"
    run = report["simulation_id"]
    asked = ("export", run, "--out", out, "--format", kind)
    exported = await experiments(up, *asked)
    again = await experiments(up, *asked)

    assert exported.code == 0, exported
    assert again.problem == ("FileThere", None)
    assert names(tmp_path) == {"run"}
    counts = exported.json["rows"]
    assert names(out) == {f"{name}.{kind}" for name in counts}
    for name, count in counts.items():
        table = _opened(out / f"{name}.{kind}")
        shown = await sql(
            up,
            f"SELECT {', '.join(table.column_names)} FROM {name}"  # noqa: S608 - ours
            f" WHERE {_of(name, run)}",
        )
        assert table.num_rows == count == len(shown)
        assert _told(table) == _sorted(shown)
        said = {key.decode(): value.decode() for key, value in _about(table).items()}
        assert said["rehearsal.state_hash"] == report["state_hash"]
        assert said["rehearsal.simulation"] == run
        assert int(said["rehearsal.position"]) >= exported.json["position"] > 0
    states = _opened(out / f"agent_states.{kind}").schema
    assert str(states.field("age").type) == "int32"
    assert str(states.field("is_defending").type) == "bool"
    simulations = _opened(out / f"simulations.{kind}").schema
    assert str(simulations.field("start_time").type) == "timestamp[us, tz=UTC]"


async def test_nothing_is_left_of_an_export_that_fails(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
) -> None:
    nobody = "01932c5e-7b00-71ff-8000-0000000000ff"
    for kind in ("sqlite", "parquet", "arrow"):
        asked = ("export", nobody, "--out", tmp_path / "run", "--format", kind)
        assert (await experiments(up, *asked)).problem[0] == "Missing"
    run = found["runs"][0]["simulation_id"]
    answer = await experiments(up, "export", run, "--out", tmp_path / "no" / "run")
    assert answer.problem[0] == "Missing"
    assert names(tmp_path) == set()


def names(folder: Path) -> set[str]:
    """Return the names of what is in a folder."""
    return {each.name for each in folder.iterdir()}


def _opened(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as opened:
        return opened.read_all()


def _about(table: pa.Table) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = table.schema.metadata
    return found


def _of(table: str, run: str) -> str:
    """Return the condition that rows of a table are of a run."""
    key = "experiment_id" if table == "experiments" else "simulation_id"
    return f"{key} = (SELECT {key} FROM simulations WHERE _id = '{run}')"  # noqa: S608


def _told(table: pa.Table) -> list[str]:
    """Return the rows of a file as SQL answers them, in a fixed order."""
    kinds = {field.name: str(field.type) for field in table.schema}

    def told(name: str, value: object) -> object:
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        if name in JSON_COLUMNS and isinstance(value, str):
            return msgspec.json.decode(value)
        assert value is None or kinds[name] != "timestamp[us, tz=UTC]"
        return value

    return _sorted(
        {name: told(name, value) for name, value in row.items()}
        for row in table.to_pylist()
    )


def different(one: object, other: object, path: str) -> Iterator[str]:
    """Yield where two answers differ, and how."""
    match one, other:
        case dict(), dict() if one.keys() == other.keys():
            for name in one:
                yield from different(one[name], other[name], f"{path}.{name}")
        case list(), list() if len(one) == len(other):
            for at, pair in enumerate(zip(one, other, strict=True)):
                yield from different(*pair, f"{path}[{at}]")
        case _ if one != other:
            yield f"{path}: {one!r:.200} is not {other!r:.200}"


def unordered(found: object) -> object:
    """Return answers but for their order and what is lost in rounding."""
    match found:
        case dict():
            return {name: unordered(each) for name, each in found.items()}
        case list():
            return sorted(map(unordered, found), key=repr)
        case float():
            return float(f"{found:.7g}")
        case _:
            return found


def _sorted(rows: Iterable[Row]) -> list[str]:
    return sorted(map(repr, rows))


async def test_a_report_is_a_page_and_images(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
) -> None:
    run, page, images = (
        found["runs"][0]["simulation_id"],
        tmp_path / "run.html",
        tmp_path / "images",
    )
    asked = ("report", run, "--html", page, "--png", images, "--step", 50)
    told = await experiments(up, *asked)
    again = await experiments(up, *asked)
    whole = await experiments(
        up, "report", found["experiment_id"], "--html", tmp_path / "all.html"
    )
    nowhere = await experiments(up, "report", run)

    assert told.code == whole.code == 0, (told, whole)
    assert again.problem[0] == "FileThere"
    assert nowhere.problem[0] == "Malformed"
    assert names(images) == {
        f"{name}.png"
        for name in (
            "population",
            "births_and_deaths",
            "resources",
            "action_mix",
            "rewards",
            "genome_diversity",
            "map",
        )
    }
    assert found["runs"][0]["state_hash"] in page.read_text()
    assert "over runs" in (tmp_path / "all.html").read_text()
    assert names(tmp_path) == {"run.html", "images", "all.html"}

    token = await rehearsal("token", "--data-dir", up.data_dir, "--json", "--org", ORG)
    query = f"SELECT simulation_id FROM simulations WHERE _id = '{run}'"  # noqa: S608 - an id of ours
    ((number,),) = [row.values() for row in await sql(up, query)]
    assert isinstance(number, int)
    key = UUID(found["experiment_id"])
    async with Client(up.url, token.json["token"]) as client:
        report = await client.report(number)
        assert await client.report_page(number, step=50) == page.read_text()
        assert await client.report_page(key) == (tmp_path / "all.html").read_text()
        for chart in report.charts:
            image = await client.chart(number, chart.name, step=50)
            assert image == (images / f"{chart.name}.png").read_bytes()
        drawn = await client.chart(number, "map", image="svg")
        with pytest.raises(Missing):
            await client.chart(number, "map", step=51)
        answers = await client.analysis(number)
        contrasts = await client.comparison(key)
    assert drawn.startswith(b"<?xml")
    assert {f"{each.name}.png" for each in report.charts} == names(images)
    assert report.about["hash of the state"] == found["runs"][0]["state_hash"]
    assert answers.population is not None
    assert (answers.population.steps, contrasts.runs) == (401, 2)


async def test_an_exported_file_is_imported_as_it_was(
    up: Up,
    tmp_path: Path,
    found: Any,  # noqa: ANN401 - JSON
) -> None:
    run, out = found["runs"][0]["simulation_id"], tmp_path / "run.sqlite"
    await experiments(up, "export", run, "--out", out)
    where = ("--data-dir", up.data_dir, "--json", "--org", ORG)
    first = (await rehearsal("import", "agentfarm", out, *where)).json
    again = (await rehearsal("import", "agentfarm", out, *where)).json
    (there,) = first["simulations"]

    assert (first["left_out"], again["new_events"]) == (0, 0)
    assert [(each["table"], each["row"]) for each in first["problems"]] == [
        ("export", 0)
    ]
    for table, key in KEYS.items():
        columns = ", ".join(
            name
            for name in columns_of(table)
            if name not in ("simulation_id", "state_before_id", "state_after_id")
        )
        rows = [
            await sql(
                up,
                f"SELECT {columns} FROM {table}"  # noqa: S608 - ours
                f" WHERE {_of(table, each)} ORDER BY {key}",
            )
            for each in (run, there)
        ]
        assert rows[0] == rows[1], table
        assert rows[0], table
    (label,) = await sql(
        up,
        f"SELECT engine, status FROM simulations WHERE _id = '{there}'",  # noqa: S608
    )
    assert label == {"engine": "imported: AgentFarm", "status": "completed"}
    for word in ("verify", "rows"):
        assert (await experiments(up, word, there)).problem[0] == "RunsElsewhere"
    made_here, recorded = [
        (await experiments(up, "analyse", each)).json for each in (run, there)
    ]
    open_there = {gap["question"] for gap in recorded.pop("gaps")}
    open_here = {gap["question"] for gap in made_here.pop("gaps")}
    assert open_there - open_here == {"reproduction", "advantages.reproduction"}
    # Attempts to reproduce are all known here, and there where actions were captured.
    for question in ("reproduction", "advantages"):
        del recorded[question], made_here[question]
    # The tables have whole steps of mean ages.
    del recorded["population"]["age"], made_here["population"]["age"]
    assert [*different(unordered(recorded), unordered(made_here), "")] == []
    page = tmp_path / "there.html"
    drawn = await experiments(up, "report", there, "--html", page)
    assert drawn.code == 0, drawn
    assert "AgentFarm, imported, not made here" in page.read_text()
    shown = (await experiments(up, "show", there)).json
    assert (shown["status"], shown["step"], shown["seed"]) == ("completed", 400, None)
