"""The audit log on the command line: listed with filters, exported as a file."""

from pathlib import Path

import msgspec

from tests.builders import new_id
from tests.infra.commands.commands import create, rename
from tests.infra.commands.process import Answer, Up, rehearsal


async def asked(up: Up, *words: object) -> Answer:
    return await rehearsal(
        "audit", *words, "--data-dir", up.data_dir, "--json", "--org", "audited"
    )


async def test_acts_are_listed_with_what_they_changed_and_exported(
    up: Up, tmp_path: Path
) -> None:
    persona = new_id()
    sent = await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--json", "--org", "audited"),
        content=create("=First", persona) + b"\n" + rename("Second", persona),
    )
    assert sent.code == 0, sent
    listed = await asked(up, "list", "--resource-id", persona, "--limit", 1)
    (act,) = listed.json["acts"]
    assert (act["actor"], act["resource_type"]) == ("user:operator", "persona")
    assert (act["old_values"], act["new_values"]) == (
        {"name": "=First"},
        {"name": "Second"},
    )
    everything = await asked(up, "list")
    for kind in ("csv", "ndjson"):
        file = tmp_path / kind
        told = await asked(up, "export", "--format", kind, "--output", file)
        assert told.json["acts"] == len(everything.json["acts"])
        lines = file.read_text().splitlines()
        assert len(lines) == told.json["acts"] + (kind == "csv")
    assert msgspec.json.decode(lines[-1])["new_values"] == {"name": "Second"}


async def test_filters_that_make_no_sense_are_refused(up: Up) -> None:
    for words in (("--since", "yesterday"), ("--address", "nowhere")):
        refused = await asked(up, "list", *words)
        assert (refused.code, refused.json["problem"]) == (1, "Malformed")
    assert (await asked(up, "list", "--actor", "user:nobody")).json["acts"] == []
