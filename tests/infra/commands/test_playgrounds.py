"""Playgrounds on the command line: listed, shown, proved."""

from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.ids import PlaygroundId
from tests.infra.commands.process import Answer, Up, rehearsal
from tests.services.playgrounds.examples import a_playground, a_slot, a_submission


ORG = "playgrounds"
PLAYGROUND: Final = PlaygroundId(UUID(int=0xA1))
ONE: Final = 101
TWO: Final = 102


async def playgrounds(up: Up, *words: object) -> Answer:
    return await rehearsal(
        "playgrounds", *words, "--data-dir", up.data_dir, "--json", "--org", ORG
    )


async def test_a_playground_is_listed_shown_and_proved(up: Up) -> None:
    asked = (
        replace(a_playground(2, 2), playground_id=PLAYGROUND),
        replace(a_slot(ONE), playground_id=PLAYGROUND),
        a_submission(ONE, text="Fine."),
        replace(a_slot(TWO), playground_id=PLAYGROUND),
        a_submission(TWO, value="cold"),
    )
    sent = await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--json", "--org", ORG),
        content=b"\n".join(msgspec.json.encode(command) for command in asked),
    )
    assert sent.code == 0, sent
    proved = await playgrounds(up, "verify", PLAYGROUND)
    assert (proved.code, proved.json["ok"]) == (0, True)
    assert proved.json["proof"]["allocations"] == 2
    listed = await playgrounds(up, "list")
    (row,) = listed.json["playgrounds"]
    assert (row["name"], row["total_evaluations"], row["total_testers"]) == (
        "Greetings",
        2,
        1,
    )
    shown = await playgrounds(up, "show", PLAYGROUND)
    assert [model["evaluations"] for model in shown.json["models"]] == [1, 1]
    assert {
        (choice["answer_value"], choice["response_count"])
        for choice in shown.json["choices"]
    } == {("warm", 1), ("warm", 0), ("cold", 1), ("cold", 0)}


async def test_a_playground_that_is_not_there_is_missing(up: Up) -> None:
    for word in ("show", "verify"):
        missing = await playgrounds(up, word, "01932c5e-7b00-7101-8000-000000000101")
        assert (missing.code, missing.json["problem"]) == (1, "Missing")
