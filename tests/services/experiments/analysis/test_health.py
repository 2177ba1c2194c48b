"""Changes of health, counted by hand."""

from services.experiments.analysis.health import health
from tests.services.experiments.analysis.given_run import incidents, run, steps, sure


def test_changes_are_told_by_cause() -> None:
    told = incidents(
        (0, 0, 100, 90, "combat"),
        (1, 0, 90, 0, "combat"),
        (1, 1, 50, 51, "healing"),
    )
    found = health(run(steps([2, 1]), incidents=told))
    assert found is not None
    assert (found.n, found.per_agent_step) == (3, 1)
    combat, healing = found.causes
    assert (combat.cause, combat.share.count, combat.fatal.count) == ("combat", 2, 1)
    assert sure(combat.change).mean == -50
    assert (sure(healing.change).mean, healing.fatal.count) == (1, 0)
    assert health(run(steps([1]))) is None
