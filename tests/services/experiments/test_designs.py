from collections import Counter

import pytest

from services.engines.population.configuration import configuration, overridden
from services.experiments.designs import (
    GivenDesign,
    GivenRange,
    chunk_steps,
    conditions,
    configured,
    design_of,
    planned,
    simulation_id,
    size,
)
from tests.services.experiments.examples import DESIGN, EXPERIMENT, STRENGTH


def test_every_combination_runs_with_the_same_seeds() -> None:
    runs = list(planned(design_of(DESIGN)))

    assert [(run.number, run.parameters, run.seed) for run in runs] == [
        (1, {STRENGTH: 2}, 7),
        (2, {STRENGTH: 2}, 8),
        (3, {STRENGTH: 40}, 7),
        (4, {STRENGTH: 40}, 8),
    ]


def test_fresh_seeds_are_never_shared() -> None:
    design = GivenDesign(
        grid={STRENGTH: [1, 2]}, iterations=3, seed=5, fresh_seeds=True
    )
    assert [run.seed for run in planned(design_of(design))] == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("samples", [2, 7, 40])
def test_a_hypercube_takes_every_part_of_every_range_once(samples: int) -> None:
    design = design_of(
        GivenDesign(
            ranges={
                STRENGTH: GivenRange(low=1.5, high=9.5),
                "agent.social_range": GivenRange(low=0, high=40),
            },
            samples=samples,
            seed=3,
        )
    )
    points = list(conditions(design))

    assert len(points) == size(design) == samples
    for path, low, span in ((STRENGTH, 1.5, 8), ("agent.social_range", 0, 40)):
        shares = [(float(str(point[path])) - low) / span for point in points]
        assert sorted(int(share * samples + 1e-9) for share in shares) == list(
            range(samples)
        )


def test_whole_numbers_stay_whole_and_in_range() -> None:
    design = design_of(
        GivenDesign(
            ranges={"resources.nodes": GivenRange(low=5, high=9, whole=True)},
            samples=50,
        )
    )
    found = [point["resources.nodes"] for point in conditions(design)]

    assert set(found) == {5, 6, 7, 8, 9}
    assert Counter(found).most_common()[-1][1] == 10


def test_a_run_has_its_parameters_in_its_configuration() -> None:
    design = design_of(DESIGN)
    last = list(planned(design))[-1]

    assert configured(design, last).combat.base_attack_strength == 40


def test_the_same_design_gives_the_same_points() -> None:
    given = GivenDesign(ranges={STRENGTH: GivenRange(low=0, high=1)}, samples=9, seed=4)
    assert list(conditions(design_of(given))) == list(conditions(design_of(given)))


def test_chunks_are_shorter_where_more_may_live() -> None:
    few = configuration({"population": {"maximum": 30}})
    many = configuration(
        {"population": {"maximum": 200_000}, "world": {"width": 9e3, "height": 9e3}}
    )
    assert chunk_steps(few) == 500
    assert chunk_steps(many) == 1


def test_chunks_are_shorter_where_networks_train_much() -> None:
    network = {"hidden": 64, "batch": 256, "updates": 16}
    wide = {"learning.network." + name: value for name, value in network.items()}
    made = overridden(configuration({}), wide)
    narrow = overridden(configuration({}), {"learning.mode": "dqn"})

    assert chunk_steps(made) == chunk_steps(narrow) == 500
    assert chunk_steps(overridden(made, {"learning.mode": "dqn"})) == 45


def test_ids_of_runs_follow_from_the_experiment() -> None:
    assert simulation_id(EXPERIMENT, 1) == simulation_id(EXPERIMENT, 1)
    assert simulation_id(EXPERIMENT, 1) != simulation_id(EXPERIMENT, 2)
