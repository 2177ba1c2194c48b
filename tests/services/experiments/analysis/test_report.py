"""The whole analysis: of nothing recorded, of everything, and of odd runs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.experiments.analysis.columns import Run
from services.experiments.analysis.report import analyse
from tests.finite import not_finite
from tests.services.experiments.analysis.given_run import (
    actions,
    agents,
    experiences,
    incidents,
    reproductions,
    resources,
    run,
    states,
    steps,
)


def test_what_was_not_recorded_is_told_as_such() -> None:
    found = analyse(run(steps([1, 1]), agents(("system", 0, None))))
    assert found.population is not None
    assert found.survival is not None
    assert found.behaviour is None
    assert found.learning is None
    assert found.reproduction is None
    assert found.health is None


@st.composite
def runs(draw: st.DrawFn) -> Run:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    length = draw(st.integers(0, 25))
    count = draw(st.integers(0, 9))
    rows = draw(st.integers(0, 30))
    last = max(1, length)
    kinds = ("system", "independent", "control")
    names = [kinds[int(kind)] for kind in rng.integers(0, 3, size=count)]
    births = [int(birth) for birth in rng.integers(0, last, size=count)]
    deaths = [
        int(birth + rng.integers(0, 5)) if rng.random() < 0.5 else None
        for birth in births
    ]
    counts = rng.integers(0, draw(st.sampled_from([1, 2, 30])), size=(3, length))

    def some(kind: int) -> list[tuple[int, int]]:
        rng_of = np.random.default_rng(kind)
        return [
            (int(rng_of.integers(0, last)), int(rng_of.integers(0, count + 2)))
            for _ in range(rows)
        ]

    return run(
        steps(
            *(list(map(int, each)) for each in counts),
            total_resources=list(rng.random(length) * 10),
            births=list(rng.integers(0, 9, size=length)),
            combat_encounters=list(np.cumsum(rng.integers(0, 9, size=length))),
        ),
        agents(
            *zip(names, births, deaths, strict=True),
            generations=[int(each) for each in rng.integers(0, 3, size=count)],
        ),
        states=states(*((*at, float(rng.random())) for at in some(1))),
        resources=resources(*((*at, 1.0, 0.0, 5.0) for at in some(2))),
        actions=actions(
            *(
                (*at, ("move", "attack")[int(rng.integers(0, 2))], float(rng.normal()))
                for at in some(3)
            ),
            targets=[int(each) for each in rng.integers(-1, count + 1, size=rows)],
        ),
        experiences=experiences(
            *((*at, "move", int(rng.integers(0, 3)), 1.0) for at in some(4))
        ),
        incidents=incidents(*((*at, 5.0, 0.0, "combat") for at in some(5))),
        reproductions=reproductions(
            *((*at, ("", "crowded")[int(rng.integers(0, 2))]) for at in some(6))
        ),
    )


@settings(max_examples=40, deadline=None)
@given(runs())
def test_no_run_is_too_odd_to_analyse(held: Run) -> None:
    found = analyse(held)
    assert analyse(held) == found
    assert all(0 <= each.severity <= 1 for each in found.events)
    assert all(-1 <= each.composite <= 1 for each in found.advantages or [])
    assert list(not_finite(found)) == []
