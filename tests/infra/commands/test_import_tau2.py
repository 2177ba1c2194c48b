"""Tasks of tau2 come in by the command line, and are refused with their place."""

import json
from pathlib import Path

from tests.infra.commands.process import Up, rehearsal
from tests.infra.test_importing_tau2 import FILE, POLICY, TASKS


async def test_tasks_are_imported_once_and_bad_ones_named(
    up: Up, tmp_path: Path
) -> None:
    file, policy, bad = (tmp_path / name for name in ("tasks", "policy", "bad"))
    file.write_bytes(FILE)
    policy.write_bytes(POLICY)
    bad.write_text(json.dumps([TASKS[0], TASKS[0]]))
    where = ("--policy", policy, "--data-dir", up.data_dir, "--json", "--org", "tau2")

    refused = await rehearsal("import", "tau2", bad, *where)
    first = await rehearsal("import", "tau2", file, *where)
    second = await rehearsal("import", "tau2", file, *where)

    assert (refused.code, refused.problem) == (1, ("Malformed", "$[1].id"))
    assert (first.json["result"], first.json["tasks"]) == ("imported", 3)
    unchanged = {"result": "nothing new", "new_events": 0}
    assert second.json == first.json | unchanged
