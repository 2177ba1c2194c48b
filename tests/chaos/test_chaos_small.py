"""A campaign small enough for every day, and the proof that a campaign can fail."""

from tests.chaos.campaign import Options, run


LOST = "lost to a reader: stored and never shown"


async def test_nothing_is_lost_while_backends_and_the_server_are_killed() -> None:
    report = await run(Options(commands=600, kills=10, seed=7, writers=8, quiet=True))
    assert report.violations == {}, report.text()
    assert report.commands["acknowledged"] >= 600
    assert report.kills["server"] >= 1
    assert report.kills["backends"] >= 8


async def test_without_the_lock_readers_lose_events_and_the_audit_says_so() -> None:
    report = await run(
        Options(commands=700, kills=1, seed=7, writers=8, without="lock", quiet=True)
    )
    assert report.as_expected, report.text()
    assert LOST in report.violations, report.text()
