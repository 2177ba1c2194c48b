"""The demo: everything is shown, and a worker that is killed does no harm."""

from pathlib import Path
from typing import Final

from infra.embedded.broker import at_hand
from infra.operations.judging import TESTERS
from tests.infra.commands.process import folder, rehearsal
from tests.projections.experiments.test_tables import PROMISED as OF_EXPERIMENTS
from tests.projections.test_seed_tables import PROMISED as OF_OTHERS


PROMISED: Final = {
    **{f"experiments.{name}": columns for name, columns in OF_EXPERIMENTS.items()},
    **{
        name: columns
        for name, columns in OF_OTHERS.items()
        if name.startswith(("playgrounds.", "audit."))
    },
}


async def without_a_value(data_dir: Path) -> list[str]:
    """Return the promised columns of three contexts that hold nothing in any row."""
    tables = ", ".join(
        f'(SELECT jsonb_build_object({counts_of(name)}) FROM {name}) AS "{name}"'  # noqa: S608 - names of ours
        for name in PROMISED
    )
    answer = await rehearsal(
        "sql", "experiments", f"SELECT {tables}", "--json", "--data-dir", data_dir
    )
    (row,) = answer.json["rows"]
    return [
        f"{name}.{column}"
        for name, counts in row.items()
        for column, count in counts.items()
        if not count
    ]


def counts_of(name: str) -> str:
    return ", ".join(f"'{column}', count({column})" for column in PROMISED[name])


async def test_a_worker_is_killed_and_every_trial_ends_once_all_the_same() -> None:
    with folder() as path:
        shown = await rehearsal("demo", "--once", "--json", "--data-dir", path / "data")
        assert shown.code == 0, shown
        assert await without_a_value(path / "data") == []
        where = ("--data-dir", path / "data", "--json")
        verified = await rehearsal("verify", "--tables", *where)
        assert verified.json["ok"], verified
    live = shown.json["live"]
    assert (live["trials"], live["passed"] + live["failed"]) == (300, 300)
    assert 75 <= live["killed_at"] < 300
    assert live["each_ended_once"]
    assert live["same_verdicts"]
    judged = shown.json["judged"]
    assert judged["testers"] == TESTERS
    assert f"{TESTERS} testers signed in by a code" in shown.err
    population = shown.json["populated"]
    assert (population["status"], population["simulations"]) == ("completed", 8)
    assert population["told"] == population["steps"] > 8 * 1_000
    assert population["proof"]["ok"]
    expected = "RabbitMQ" if await at_hand() else "PostgreSQL"
    assert shown.json["broker"].startswith(expected)
    assert f"work is carried by {shown.json['broker']}" in shown.err
    assert "Who did what, the newest acts of all:" in shown.err
    assert "playgrounds.EvaluationSubmitted evaluation" in shown.err
    assert all(shown.json["rows"].values())


async def test_letters_to_testers_are_sent_by_no_mail_server() -> None:
    with folder() as path:
        mailing = {"REHEARSAL_MAIL_SERVER": "smtp://mail.example"}
        told = await rehearsal(
            *("demo", "--once", "--json", "--data-dir", path / "data"),
            environment=mailing,
        )
        assert told.problem == ("SetupError", None)
        assert "a mail server was given" in told.json["detail"]
