"""Live runs are started, held, cancelled and held again from the command line."""

import asyncio

import msgspec

from tests.infra.commands.process import Answer, Up, rehearsal
from tests.services.work.library import SET, library


ORG = "live-runs"


async def send(up: Up) -> None:
    """Make what a live run of three unit tests needs, unless it is there."""
    lines = b"\n".join(msgspec.json.encode(command) for command in library())
    sent = await rehearsal(
        *("send", "-", "--data-dir", up.data_dir, "--json", "--org", ORG),
        content=lines,
    )
    assert sent.code == 0, sent


async def runs(up: Up, *words: object) -> Answer:
    """Ask something of the runs."""
    return await rehearsal(
        "runs", *words, "--data-dir", up.data_dir, "--json", "--org", ORG
    )


async def test_the_same_seed_gives_the_same_verdicts_over_either_broker(
    up: Up, rabbitmq: str
) -> None:
    await send(up)
    start = ("start", SET, "--trials", 2, "--seed", 7, "--wait", "--gate")
    first = await runs(up, *start, "--broker", "postgres")
    second = await runs(up, *start, "--broker", rabbitmq)
    assert (first.json["status"], first.json["trials"]) == ("completed", 6)
    assert first.json["run_id"] != second.json["run_id"]
    assert first.json["verdicts"] == second.json["verdicts"]
    assert first.code == 1
    shown = await runs(up, "show", first.json["run_id"])
    assert (shown.json["status"], shown.json["trial_count"]) == ("completed", 6)
    reports = [report["name"] for report in shown.json["artifacts_generated"]]
    assert reports == ["results.json", "junit.xml"]


async def shown_as(up: Up, run_id: str, status: str) -> None:
    """Return once the read tables, which follow the log, show a run so."""
    async with asyncio.timeout(60):
        while (await runs(up, "show", run_id)).json.get("status") != status:
            pass


async def test_a_run_is_held_by_the_stack(up: Up) -> None:
    await send(up)
    started = await runs(up, "start", SET)
    run_id = started.json["run_id"]
    await shown_as(up, run_id, "completed")
    again = await runs(up, "retry", run_id, "--wait")
    assert (again.json["status"], again.json["trials"]) == ("completed", 3)


async def test_an_unfinished_run_stands_alone_until_it_is_cancelled(up: Up) -> None:
    await send(up)
    long = await runs(up, "start", SET, "--trials", 1000, "--concurrency", 1)
    refused = await runs(up, "start", SET)
    assert (refused.code, refused.json["problem"]) == (1, "RunUnfinished")
    cancelled = await runs(up, "cancel", long.json["run_id"])
    assert cancelled.code == 0
    await shown_as(up, long.json["run_id"], "cancelled")


async def test_a_broker_that_is_none_is_named(up: Up) -> None:
    wrong = await runs(up, "start", SET, "--wait", "--broker", "kafka://x:secret@y")
    assert (wrong.code, wrong.json["problem"]) == (78, "SettingsError")
    assert "--broker" in wrong.json["detail"]
    assert "secret" not in wrong.json["detail"] + wrong.err
