"""Attempts to reproduce, counted by hand."""

from services.experiments.analysis.reproduction import reproduction
from tests.services.experiments.analysis.given_run import (
    agents,
    reproductions,
    run,
    steps,
)


def test_failures_are_told_by_reason() -> None:
    tried = reproductions(
        (3, 0, "too_little"),
        (4, 0, ""),
        (4, 1, "too_little"),
        (5, 2, "crowded"),
        (6, 0, ""),
    )
    who = agents(("system", 0, None), ("system", 0, None), ("control", 0, None))
    found = reproduction(run(steps([3]), who, reproductions=tried))
    assert found is not None
    assert (found.success.count, found.success.n) == (2, 5)
    reasons = {name: (each.count, each.n) for name, each in found.failures.items()}
    assert reasons == {"too_little": (2, 3), "crowded": (1, 3)}
    assert list(found.failures) == ["too_little", "crowded"]
    system, control = found.by_type
    assert (system.success.share, system.offspring_per_agent) == (0.5, 1)
    assert (system.parents, system.first_step) == (1, 4)
    assert (control.success.count, control.first_step) == (0, None)


def test_what_was_not_recorded_is_not_answered() -> None:
    assert reproduction(run(steps([3]))) is None
