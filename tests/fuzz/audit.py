"""What holds after a campaign: only what was accepted is stored, and all is whole."""

from infra.commands.verifying import compare
from infra.operations.verify import verify
from infra.wiring import core, operating
from projections.catalogue import TABLES
from tests.fuzz.stack import Stack, Stored


async def check_stored(stack: Stack, before: Stored, name: str) -> None:
    """Hold what the database holds more against what outcomes said was stored."""
    counts = stack.counts
    after = await stack.stored()
    expected = Stored(
        before.events + counts.events,
        before.commands + counts.commands,
        before.blobs + len(counts.blobs),
    )
    if after != expected:
        stack.findings.add(
            f"{name}: something else is stored than was accepted",
            f"{after}, and accepted were {expected}",
        )


async def check_whole(stack: Stack) -> int:
    """Verify the log, and every read table against a rebuilt one; return the checks."""
    await stack.caught_up()
    async with (
        core(stack.settings, stack.urls, name="fuzz") as parts,
        operating(stack.urls, parts, by="user:operator") as opened,
    ):
        for parked in await opened.parked():
            stack.findings.add("an event is parked", repr(parked))
        report = await verify(
            stack.urls.projector,
            tables=TABLES,
            tables_check=lambda: compare(opened),
        )
    for check in report.checks:
        if check.bad is not None:
            stack.findings.add(
                f"verify: {check.name}", f"{check.bad.row}: {check.bad.problem}"
            )
    return len(report.checks)


def check_complaints(stack: Stack) -> None:
    """Add what the API logged as its own errors."""
    for line in stack.complaints():
        stack.findings.add("the API logged an error", line[-280:])
