"""A campaign of work that is small enough for every day."""

from tests.chaos.work.campaign import Options, run


async def test_every_trial_ends_once_as_undisturbed_though_all_is_killed() -> None:
    report = await run(Options(kills=6, restarts=1, seed=7, quiet=True))
    assert report.violations == {}, report.text()
    assert report.kills["broker"] == 1
    assert report.kills["all"] >= 6
    assert report.audited["trials"] >= 200
