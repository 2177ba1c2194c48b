"""What was changed behind the log's back is found and named."""

import pytest

from tests.builders import new_id
from tests.infra.commands.commands import create
from tests.infra.commands.process import Answer, Up, rehearsal


TAMPER = """
ALTER TABLE es.events DISABLE TRIGGER refuse_change;
UPDATE es.events
SET data = replace(data::text, '{old}', '{new}')::json
WHERE position = {position};
ALTER TABLE es.events ENABLE ALWAYS TRIGGER refuse_change;
"""


async def verify(up: Up, *words: str) -> Answer:
    return await rehearsal("verify", *words, "--data-dir", up.data_dir, "--json")


async def test_a_changed_byte_is_found_and_named(up: Up) -> None:
    sent = await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--json"),
        content=create("Tempting", new_id()),
    )
    outcome = sent.json["commands"][0]["outcome"]
    position = outcome["position"] - outcome["events"] + 1
    whole = await verify(up, "--receipt", outcome["receipt"])
    assert whole.code == 0, whole
    assert whole.json["ok"]
    checks = {each["name"] for each in whole.json["checks"]}
    assert {"chain", "hashes", "table testing.simulation_personas"} <= checks

    await up.as_superuser(
        TAMPER.format(old="Tempting", new="Tempted.", position=position)
    )
    found = await verify(up, "--no-tables")
    assert found.code == 1
    assert not found.json["ok"]
    assert found.json["first_bad"]["position"] == position
    assert "Traceback" not in found.err

    await up.as_superuser(
        TAMPER.format(old="Tempted.", new="Tempting", position=position)
    )
    assert (await verify(up, "--no-tables")).code == 0


@pytest.mark.parametrize("receipt", ["nonsense", f"1-{'0' * 64}"])
async def test_a_receipt_that_is_not_the_logs_is_refused(up: Up, receipt: str) -> None:
    answer = await verify(up, "--no-tables", "--receipt", receipt)
    assert answer.code == 1
    assert "Traceback" not in answer.err
