"""A little of every campaign; `make fuzz` sends much more."""

from pathlib import Path

from tests.chaos.findings import Findings
from tests.fuzz import decoders
from tests.fuzz.campaign import Options, exercise
from tests.fuzz.counting import Counts
from tests.fuzz.stack import stack_on
from tests.postgres_ladder import Database
from tests.rabbit_ladder import OwnBroker


SMALL = Options(
    subjects=("http", "decoders", "files", "cli"),
    requests=400,
    examples=3,
    processes=0,
    tables=2,
    operations="^/v1/events",
)


async def test_bad_input_is_refused_and_leaves_nothing(
    database: Database, tmp_path: Path
) -> None:
    findings = Findings()
    async with stack_on(database, tmp_path, findings) as stack:
        await exercise(stack, SMALL, {})
    assert not findings.violations
    assert stack.counts.cases.total() > 1_000


async def test_bad_messages_are_answered_or_kept_and_leave_nothing(
    database: Database, tmp_path: Path, own_rabbitmq: OwnBroker
) -> None:
    findings = Findings()
    options = Options(subjects=("amqp",), messages=300)
    async with stack_on(database, tmp_path, findings) as stack:
        await exercise(stack, options, {}, broker=own_rabbitmq.url)
    assert not findings.violations
    assert stack.counts.cases.total() > 500


def test_decoders_let_nothing_but_refusals_escape() -> None:
    findings, counts = Findings(), Counts()
    decoders.campaign(findings, counts, examples=50, start=1)
    assert not findings.violations
