"""Data come in by files and by standard input, and are read as lines of JSON."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.sample import recorded
from tests.builders import new_id
from tests.infra.commands.commands import create, names, rename
from tests.infra.commands.process import Answer, Up, rehearsal


async def send(up: Up, source: Path | str, *words: str, content: bytes = b"") -> Answer:
    return await rehearsal(
        *("send", source, "--data-dir", up.data_dir, "--json", *words),
        content=content,
    )


async def sql(up: Up, schema: str, statement: str, *words: str) -> Answer:
    return await rehearsal(
        *("sql", schema, statement, "--data-dir", up.data_dir, "--json", *words)
    )


async def test_commands_come_in_every_form(up: Up, tmp_path: Path) -> None:
    org = ("--org", "forms")
    one, several, lines = (tmp_path / name for name in ("one", "several", "lines"))
    one.write_bytes(b"\n" + create("Object").replace(b",", b",\n") + b"\n")
    several.write_bytes(b"[%b, %b]" % (create("Array 1"), create("Array 2")))
    persona_id = new_id()
    lines.write_bytes(
        create("Line 1", persona_id) + b"\n\n" + rename("Line 2", persona_id)
    )
    answers = await asyncio.gather(
        send(up, one, *org),
        send(up, several, *org),
        send(up, lines, *org),
        send(up, "-", *org, content=create("Input")),
    )
    statuses = [[each["status"] for each in a.json["commands"]] for a in answers]
    assert statuses == [["ok"], ["ok", "ok"], ["ok", "ok"], ["ok"]]
    outcomes = [each["outcome"] for each in answers[2].json["commands"]]
    assert [each["version"] for each in outcomes] == [2, 3]
    assert sorted(await names(up.data_dir, org="forms")) == [
        "Array 1",
        "Array 2",
        "Input",
        "Line 2",
        "Object",
    ]


BAD = {
    "of a list": (b"[%b, {}]" % create("No"), "Command 2: ", "$.type"),
    "of lines": (create("No") + b"\n" + create(""), "Command 2: ", "$.name"),
    "alone": (b'{"type": "testing.NoSuchThing"}', "Command 1: ", "$.type"),
    "empty": (b"", "Command 1: ", None),
    "deep": (b"[" * 100_000, "", None),
}


async def test_a_bad_command_is_named_and_nothing_is_sent(up: Up) -> None:
    org = ("--org", "bad")
    answers = await asyncio.gather(
        *(send(up, "-", *org, content=content) for content, _, _ in BAD.values())
    )
    for answer, (_, begins, path) in zip(answers, BAD.values(), strict=True):
        assert answer.code == 1
        assert answer.problem == ("Malformed", path)
        assert answer.json["detail"].startswith(begins)
    assert await names(up.data_dir, org="bad") == []


async def test_a_command_that_is_refused_stands_beside_those_that_are_not(
    up: Up,
) -> None:
    persona_id = new_id()
    asked = [create("Kept", persona_id), create("Taken", persona_id), create("Other")]
    answer = await send(up, "-", "--org", "some", content=b"\n".join(asked))
    assert answer.code == 1
    commands = answer.json["commands"]
    assert [each["status"] for each in commands] == ["ok", "AlreadyExists", "ok"]
    assert commands[1]["path"] == "$.persona_id"
    assert await names(up.data_dir, org="some") == ["Kept", "Other"]


async def test_a_file_that_cannot_be_read_is_named(up: Up, tmp_path: Path) -> None:
    for answer in await asyncio.gather(
        send(up, tmp_path / "missing"), send(up, tmp_path)
    ):
        assert answer.problem == ("Missing", None)
        assert answer.json["detail"].startswith(f"Cannot read {tmp_path}")


@pytest.fixture(scope="module")
async def imported(up: Up, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the import of the sample said, which was done twice."""
    file = tmp_path_factory.mktemp("import") / "recorded.json"
    file.write_bytes(recorded())
    words = ("import", "tau-bench", file, "--data-dir", up.data_dir, "--json")
    first = await rehearsal(*words, "--org", "imported")
    again = await rehearsal(*words, "--org", "imported")
    assert (first.code, again.code) == (0, 0), (first, again)
    summary: dict[str, Any] = first.json
    assert again.json == {**summary, "result": "nothing new", "new_events": 0}
    return summary


async def test_an_import_says_what_the_tables_say(imported: dict[str, Any]) -> None:
    assert imported["result"] == "imported"
    counts = [imported[name] for name in ("tasks", "trials", "entries", "personas")]
    assert counts == [8, 32, 428, 7]
    values = [each["value"] for each in imported["pass_hat_k"].values()]
    assert values == pytest.approx([19 / 32, 20 / 48, 10 / 32, 2 / 8])


async def test_runs_are_listed_shown_and_measured(
    up: Up, imported: dict[str, Any]
) -> None:
    where = ("--data-dir", up.data_dir, "--org", "imported", "--json")
    run_id = imported["run_id"]
    listed, shown, measured, strange = await asyncio.gather(
        rehearsal("runs", "list", *where),
        rehearsal("runs", "show", run_id, *where),
        rehearsal("runs", "reliability", run_id, *where),
        rehearsal("runs", "show", run_id, "--data-dir", up.data_dir, "--json"),
    )
    (row,) = listed.json["runs"]
    assert (row["_id"], row["status"], row["passed_count"]) == (run_id, "completed", 19)
    assert sum(each["passed"] for each in results(shown.json)) == 19
    assert measured.json["pass_hat_k"] == imported["pass_hat_k"]
    assert strange.problem == ("Missing", None)


def results(shown: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a run's results, which are JSON."""
    found = shown["unit_test_run_results"]
    parsed: list[dict[str, Any]] = (
        msgspec.json.decode(found) if isinstance(found, str) else found
    )
    return parsed


async def test_sql_reads_and_does_nothing_else(up: Up) -> None:
    persona_id = new_id()
    assert (await send(up, "-", content=create("Read", persona_id))).code == 0
    where = f"WHERE _id = '{persona_id}'"
    read, written, dropped, wrong, strange = await asyncio.gather(
        sql(up, "testing", f"SELECT name, tags FROM simulation_personas {where}"),  # noqa: S608 - an id of ours
        sql(up, "testing", f"UPDATE simulation_personas SET name = 'x' {where}"),  # noqa: S608 - an id of ours
        sql(up, "testing", "DROP TABLE es.events"),
        sql(up, "testing", "SELEC 1"),
        sql(up, "testing", "SELECT * FROM simulation_personas", "--org", "nobody"),
    )
    assert read.json == {
        "columns": ["name", "tags"],
        "rows": [{"name": "Read", "tags": {}}],
    }
    assert [each.problem[0] for each in (written, dropped, wrong)] == ["Malformed"] * 3
    assert strange.json["rows"] == []


async def test_events_are_listed_in_order(up: Up) -> None:
    persona_id = new_id()
    sent = await send(up, "-", content=create("Told", persona_id))
    (command,) = sent.json["commands"]
    last = command["outcome"]["position"]
    stream = f"testing.persona-{persona_id}"
    where = ("events", "list", "--data-dir", up.data_dir, "--json")
    found, first, negative = await asyncio.gather(
        rehearsal(*where, "--stream", stream),
        rehearsal(*where, "--after", last - 3, "--limit", "2"),
        rehearsal(*where, "--after", "-1"),
    )
    types = [each["event"]["type"] for each in found.json["events"]]
    assert types == ["testing.PersonaCreated", "testing.PersonaVersionAdded"]
    positions = [each["position"] for each in first.json["events"]]
    assert positions == [last - 2, last - 1]
    assert negative.code == 2
    assert "Traceback" not in negative.err


async def test_personal_text_is_listed_with_a_reason_that_is_recorded(up: Up) -> None:
    org, email = ("--org", "reading"), "ines@reading.example"
    where = ("--data-dir", up.data_dir, "--json")
    made = await rehearsal(
        *("organisations", "create", "Reading", *org, *where),
    )
    assert made.code == 0, made
    invited = await rehearsal(
        *("users", "invite", email, "--username", "ines", "--full-name", "Ines"),
        *(*org, *where),
    )
    assert invited.code == 0, invited
    listed = ("events", "list", *where, "--limit", "10000", "--stream")
    stream = f"access.user-{invited.json['user_id']}"
    closed = await rehearsal(*listed, stream)
    assert closed.json["events"][0]["event"]["email"] == "[sealed]"
    opened = await rehearsal(*listed, stream, "--reason", "Ines asked")
    assert opened.json["events"][0]["event"]["email"] == email
    bad = await rehearsal(*listed, stream, "--reason", " ")
    assert (bad.code, bad.problem) == (1, ("Malformed", "reason"))
    log = await rehearsal("events", "list", *where, "--limit", "10000")
    (told,) = (
        each
        for each in log.json["events"]
        if each["event"]["type"] == "access.PersonalTextRead"
    )
    assert (told["org_id"], told["actor"]) == ("reading", "user:operator")
    assert told["event"]["stream_id"] == stream
    assert told["event"]["reason"] == "Ines asked"
