"""The command line says what it can do, and what is wrong with what it was told."""

import asyncio
from pathlib import Path

import pytest

from infra.cli import PLACES, app
from tests.infra.commands.process import Answer, rehearsal


def test_every_command_can_be_loaded_and_explains_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in PLACES:
        app([name, "--help"])
        told = capsys.readouterr().out
        assert f"rehearsal {name}" in told


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    app(["--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in PLACES)


BAD = {
    "a command that there is not": ["nonsense"],
    "an option that there is not": ["settings", "--nonsense"],
    "too little": ["sql"],
    "too much": ["doctor", "extra"],
    "no number": ["up", "--http-port", "x"],
    "a negative number": ["events", "list", "--limit", "-1"],
    "a number that is too large": ["events", "list", "--after", "9" * 30],
    "no identifier": ["runs", "show", "nonsense"],
    "a level that there is not": ["doctor", "--log-level", "loud"],
    "no time at all": ["token", "--minutes", "0"],
    "no number of minutes": ["token", "--minutes", "nan"],
    "no reason": ["projections", "skip", "testing", "key"],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_are_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app(BAD[name])
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Error" in said.err
    assert "Traceback" not in said.err


async def failing(*words: str, **environment: str) -> Answer:
    return await rehearsal(*words, "--json", environment=environment)


async def test_settings_that_are_wrong_are_named_at_once(tmp_path: Path) -> None:
    unknown, port, incomplete, bearer = await asyncio.gather(
        failing("doctor", REHEARSAL_HTTP_PROT="1"),
        failing("settings", REHEARSAL_HTTP_PORT="x", REHEARSAL_POOL_SIZE="0"),
        failing(
            *("sql", "testing", "SELECT 1"),
            REHEARSAL_OWNER_URL="postgresql://owner:hidden@127.0.0.1:1/x",
        ),
        failing("token", "--subject", "nobody", "--data-dir", str(tmp_path)),
    )
    for answer in (unknown, port, incomplete):
        assert answer.code == 78
        assert answer.problem == ("SettingsError", None)
        assert "hidden" not in answer.err
    assert "did you mean REHEARSAL_HTTP_PORT" in unknown.json["detail"]
    assert "REHEARSAL_HTTP_PORT: " in port.json["detail"]
    assert "REHEARSAL_POOL_SIZE: " in port.json["detail"]
    assert "REHEARSAL_READER_URL must be set" in incomplete.json["detail"]
    assert bearer.problem == ("Malformed", None)


async def test_settings_show_no_password() -> None:
    address = "postgresql://owner:hunter2@db.internal/rehearsal"
    shown, told = await asyncio.gather(
        rehearsal("settings", "--json", environment={"REHEARSAL_OWNER_URL": address}),
        rehearsal("settings", environment={"REHEARSAL_OWNER_URL": address}),
    )
    assert (shown.code, told.code) == (0, 0)
    assert shown.json["owner_url"] == "postgresql://owner:***@db.internal/rehearsal"
    assert b"REHEARSAL_OWNER_URL=postgresql://owner:***@" in told.out
    for answer in (shown, told):
        assert b"hunter2" not in answer.out
        assert "hunter2" not in answer.err


async def test_a_database_that_is_away_is_one_clear_line() -> None:
    address = "postgresql://someone:hunter2@127.0.0.1:1/rehearsal"
    names = ("OWNER", "APP", "PROJECTOR", "READER", "KEYS")
    environment = {f"REHEARSAL_{name}_URL": address for name in names}
    sql, runs, examined = await asyncio.gather(
        failing("sql", "testing", "SELECT 1", **environment),
        failing("runs", "list", **environment),
        failing("doctor", **environment),
    )
    for answer in (sql, runs):
        assert answer.code != 0
        assert answer.err.startswith("rehearsal: ")
    for answer in (sql, runs, examined):
        assert "Traceback" not in answer.err
        assert "hunter2" not in answer.err
        assert b"hunter2" not in answer.out
    assert examined.code == 1
    assert not examined.json["ok"]
