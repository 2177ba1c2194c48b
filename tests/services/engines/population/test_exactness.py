"""The same configuration and seed give the same bytes, however a run is made."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from events.errors import Malformed
from services.engines.population import simulation
from services.engines.population.configuration import branched, configuration
from services.engines.population.rules import Capture
from services.engines.population.simulation import Simulation, hash_of


STEPS = 500
SMALL = {"hidden": 6, "memory": 300, "batch": 8, "beta_1": 0.8}
THINKING: dict[str, object] = {
    "learning": {"mode": "dqn", "epsilon": 0.8, "network": SMALL}
}
KINDS_OF_RUN = pytest.mark.parametrize(
    "given",
    [{}, {"ruleset": "agentfarm-2025-07"}, THINKING],
    ids=["farm-1", "agentfarm-2025-07", "networks"],
)
OF_FARM_1 = pytest.mark.parametrize("given", [{}, THINKING], ids=["tables", "networks"])
Given = dict[str, object]


def whole(run: Simulation, chunk: int = STEPS) -> tuple[str, dict[str, bytes]]:
    """Make a run in chunks; return its last hash, and its rows, table by table."""
    rows: dict[str, list[bytes]] = {}
    for until in range(chunk, STEPS + chunk, chunk):
        tables = run.run(min(until, STEPS)).tables._asdict()
        for name, table in tables.items():
            rows.setdefault(name, []).append(bare(table))
    return run.state_hash(), {name: b"".join(parts) for name, parts in rows.items()}


def bare(table: npt.NDArray[np.void]) -> bytes:
    """The rows without what lies between their fields."""
    return "".join(map(repr, table.tolist())).encode()


@KINDS_OF_RUN
def test_the_size_of_chunks_changes_nothing(given: Given) -> None:
    made = configuration(given)
    once = whole(Simulation.begin(made, 42))

    assert whole(Simulation.begin(made, 42), 1) == once
    assert whole(Simulation.begin(made, 42), 7) == once


@KINDS_OF_RUN
@pytest.mark.parametrize("cells", [14, 16, 19, 24])
def test_the_size_of_cells_changes_nothing(given: Given, cells: int) -> None:
    made = configuration(given)

    assert whole(Simulation.begin(made, 42, cells=cells)) == whole(
        Simulation.begin(made, 42)
    )


@OF_FARM_1
def test_what_is_captured_changes_nothing_else(given: Given) -> None:
    made = configuration(given)
    full, rows = whole(Simulation.begin(made, 42))

    for capture in (
        Capture(every=0),
        Capture(every=7),
        Capture(first=100, last=110),
        Capture(sample=3),
    ):
        digest, fewer = whole(Simulation.begin(made, 42, capture=capture))
        assert digest == full
        for name in ("steps", "births", "deaths", "incidents", "refusals"):
            assert fewer[name] == rows[name]
        assert len(fewer["states"]) < len(rows["states"])


def test_a_capture_keeps_what_it_asks_for() -> None:
    capture = Capture(every=5, first=10, last=30, sample=2)
    tables = Simulation.begin(configuration({}), 42, capture=capture).run(50).tables
    states, actions = tables._asdict()["states"], tables._asdict()["actions"]

    assert set(states["step"]) == {10, 15, 20, 25, 30}
    assert set(states["agent"] % 2) == {0}
    assert set(actions["step"]) == {10, 15, 20, 25, 30}


@KINDS_OF_RUN
def test_a_run_taken_up_again_at_any_step_ends_the_same(given: Given) -> None:
    made = configuration(given)
    ends = whole(Simulation.begin(made, 42))[0]
    steps = np.random.default_rng(1).choice(STEPS, 20, replace=False)

    for step in map(int, steps):
        first = Simulation.begin(made, 42)
        first.run(step)
        checkpoint = first.checkpoint()
        again = Simulation.resume(made, checkpoint, cells=18)
        assert again.checkpoint() == checkpoint
        again.run(STEPS)
        assert again.state_hash() == ends


@OF_FARM_1
def test_threads_change_nothing(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    made = configuration(
        {
            **given,
            "population": {"system": 200, "independent": 200, "maximum": 900},
            "world": {"width": 400, "height": 300},
            "resources": {"nodes": 300},
        }
    )
    alone = Simulation.begin(made, 8)
    alone.run(60)
    monkeypatch.setattr(simulation, "CROWD", 10)

    with ThreadPoolExecutor(2) as pool:
        together = Simulation.begin(made, 8, threads=2, spread=spread_over(pool))
        together.run(60)

    assert together.state_hash() == alone.state_hash()


def spread_over(pool: ThreadPoolExecutor) -> Callable[[Sequence[Any]], None]:
    def spread(parts: Sequence[Callable[[], object]]) -> None:
        for done in [pool.submit(part) for part in parts]:
            done.result()

    return spread


def test_another_seed_gives_another_run() -> None:
    made = configuration({})
    assert whole(Simulation.begin(made, 1))[0] != whole(Simulation.begin(made, 2))[0]


@OF_FARM_1
def test_a_population_that_outgrows_every_array_loses_nothing(given: Given) -> None:
    made = configuration(
        {
            **given,
            "population": {"system": 2, "independent": 0, "control": 0, "maximum": 900},
            "resources": {"nodes": 300, "regeneration_probability": 1},
            "reproduction": {"minimum_resources": 3, "crowding_limit": 1},
        }
    )
    run = Simulation.begin(made, 3)
    steps = run.run(400).tables._asdict()["steps"]

    assert steps["agents"].max() > 500
    resumed = Simulation.resume(made, run.checkpoint())
    run.run(420)
    resumed.run(420)
    assert run.state_hash() == resumed.state_hash()


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({}, "combat.base_attack_strength", 50),
        (THINKING, "learning.network.learning_rate", 0.01),
    ],
    ids=["tables", "networks"],
)
def test_a_branch_shares_the_past_and_draws_the_same_numbers(
    given: Given, path: str, value: float
) -> None:
    made = configuration(given)
    run = Simulation.begin(made, 42)
    run.run(100)
    checkpoint = run.checkpoint()
    same = Simulation.resume(branched(made, {}), checkpoint)
    other = branched(made, {path: value})
    changed = Simulation.resume(other, checkpoint)
    for each in (run, same, changed):
        each.run(200)

    assert same.state_hash() == run.state_hash()
    assert changed.state_hash() != run.state_hash()


@OF_FARM_1
@pytest.mark.parametrize(
    "damage", [lambda held: held[:-1], lambda held: held + b"\0", lambda _: b"\5abc"]
)
def test_a_damaged_checkpoint_is_refused(
    given: Given, damage: Callable[[bytes], bytes]
) -> None:
    run = Simulation.begin(configuration(given), 42)
    run.run(10)
    checkpoint = run.checkpoint()

    assert hash_of(checkpoint) == run.state_hash()
    with pytest.raises(Malformed):
        Simulation.resume(configuration(given), damage(checkpoint))


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({}, {"ruleset": "agentfarm-2025-07"}),
        ({}, THINKING),
        (THINKING, {}),
        (THINKING, {"learning": {"mode": "dqn"}}),
    ],
)
def test_a_checkpoint_of_another_kind_of_run_is_refused(
    given: Given, other: Given
) -> None:
    checkpoint = Simulation.begin(configuration(given), 42).checkpoint()

    with pytest.raises(Malformed, match="another kind of run"):
        Simulation.resume(configuration(other), checkpoint)
