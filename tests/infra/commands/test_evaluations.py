"""Statistics and exports of a playground from the command line."""

import asyncio
import csv
from io import StringIO
from pathlib import Path

import msgspec

from tests.infra.commands.process import Answer, Up, rehearsal
from tests.projections.playgrounds.story import CREATE, answers
from tests.services.playgrounds.examples import PLAYGROUND, STARS, a_slot


ORG = "judged"


async def playgrounds(up: Up, *words: object, json: bool = True) -> Answer:
    said = ("--json",) if json else ()
    return await rehearsal(
        *("playgrounds", *words, "--data-dir", up.data_dir, *said, "--org", ORG)
    )


async def evaluate(up: Up) -> None:
    """Evaluate one model once, unless that was done, and wait for the tables."""
    commands = [CREATE, a_slot(1), answers(1, "warm", 4, text="@SUM(1)")]
    lines = b"\n".join(msgspec.json.encode(command) for command in commands)
    await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--json", "--org", ORG),
        content=lines,
    )
    async with asyncio.timeout(60):
        while not (await playgrounds(up, "statistics", PLAYGROUND)).json.get("ratings"):
            pass


async def test_statistics_are_shown_with_their_position(up: Up) -> None:
    await evaluate(up)
    found = await playgrounds(up, "statistics", PLAYGROUND)
    assert found.code == 0, found
    (rated,) = (
        each for each in found.json["ratings"] if each["question_id"] == str(STARS)
    )
    assert (rated["n"], rated["mean"]) == (1, 4)
    assert rated["position"] == found.json["position"] > 0
    said = await playgrounds(up, "statistics", PLAYGROUND, json=False)
    assert "still to come" in said.err


async def test_rows_go_to_standard_output_or_to_a_file(up: Up, tmp_path: Path) -> None:
    await evaluate(up)
    printed = await playgrounds(up, "export", PLAYGROUND, json=False)
    rows = list(csv.DictReader(StringIO(printed.out.decode(), newline="")))
    assert "'@SUM(1)" in {row["answer_text"] for row in rows}
    target = tmp_path / "rows.ndjson"
    told = await playgrounds(
        *(up, "export", PLAYGROUND, "--shape", "wide"),
        *("--format", "ndjson", "--output", target),
    )
    assert told.json["bytes"] == target.stat().st_size
    (row,) = msgspec.json.decode(b"[" + target.read_bytes().strip() + b"]")
    assert row[str(STARS)] == 4


async def test_what_cannot_be_done_says_why(up: Up, tmp_path: Path) -> None:
    await evaluate(up)
    nowhere = await playgrounds(
        *(up, "export", PLAYGROUND, "--output", tmp_path / "no" / "rows.csv")
    )
    assert (nowhere.code, nowhere.json["path"]) == (1, "output")
    unsaid = await playgrounds(up, "export", PLAYGROUND)
    assert (unsaid.code, unsaid.json["path"]) == (1, "output")
    unknown = await playgrounds(up, "statistics", STARS)
    assert (unknown.code, unknown.json["problem"]) == (1, "Missing")
    wild = await playgrounds(up, "statistics", PLAYGROUND, "--confidence", "1")
    assert wild.code != 0
