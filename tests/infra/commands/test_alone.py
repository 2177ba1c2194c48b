"""Where no stack runs, a command starts one for itself and leaves none behind."""

from pathlib import Path

import pytest

from infra.embedded import running_stack
from infra.sample import recorded
from tests.infra.commands.commands import create
from tests.infra.commands.process import rehearsal


CALLS = {
    "send": ("send", "-"),
    "import": ("import", "tau-bench", "FILE"),
    "sql": ("sql", "testing", "SELECT 1 AS one"),
    "events": ("events", "list", "--limit", "1"),
    "runs": ("runs", "list"),
    "projections": ("projections", "list"),
    "verify": ("verify", "--no-tables"),
    "doctor": ("doctor",),
    "migrate": ("migrate",),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_command_runs_without_a_stack(
    name: str, idle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "recorded.json"
    file.write_bytes(recorded())
    words = [str(file) if word == "FILE" else word for word in CALLS[name]]
    answer = await rehearsal(
        *(*words, "--data-dir", idle, "--json"),
        content=create("Alone"),
        environment={},  # so that it begins from nothing
    )
    assert answer.code == 0, answer
    assert isinstance(answer.json, dict)
    assert running_stack(idle) is None
