"""A small campaign of testers who race for places."""

from tests.chaos.slots import Options, run


async def test_testers_who_race_through_kills_never_share_a_place() -> None:
    report = await run(
        Options(attempts=250, testers=24, kills=2, server_kills=0, apis=2, quiet=True)
    )
    assert report.violations == {}
    assert report.attempts >= 250
    assert report.kills["processes"] == 2
    assert report.proved["allocations"] > 10
