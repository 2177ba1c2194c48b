"""The demo: everything is shown, and a worker that is killed does no harm."""

from infra.embedded.broker import at_hand
from tests.infra.commands.process import folder, rehearsal


async def test_a_worker_is_killed_and_every_trial_ends_once_all_the_same() -> None:
    with folder() as path:
        shown = await rehearsal("demo", "--once", "--json", "--data-dir", path / "data")
    assert shown.code == 0, shown
    live = shown.json["live"]
    assert (live["trials"], live["passed"] + live["failed"]) == (300, 300)
    assert 75 <= live["killed_at"] < 300
    assert live["each_ended_once"]
    assert live["same_verdicts"]
    expected = "RabbitMQ" if await at_hand() else "PostgreSQL"
    assert shown.json["broker"].startswith(expected)
    assert f"work is carried by {shown.json['broker']}" in shown.err
    assert all(shown.json["rows"].values())
