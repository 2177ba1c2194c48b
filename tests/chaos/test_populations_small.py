"""A campaign of populations that is small enough for every day."""

from tests.chaos.populations import Options, run


async def test_every_run_holds_its_bytes_though_all_is_killed() -> None:
    report = await run(Options(kills=6, restarts=1, seed=7, quiet=True))
    assert report.violations == {}, report.text()
    assert report.kills["broker"] == 1
    assert report.audited["runs"] >= 2
