import pytest

from events.experiments.vocabulary import (
    CAUSES,
)
from services.engines.population.configuration import configuration
from services.engines.population.simulation import Simulation
from tests.services.engines.population.alike import assert_alike, run_plainly
from tests.services.engines.population.reference import Reference


CROWDED = {
    "population": {"system": 25, "independent": 25, "control": 25, "maximum": 80},
    "world": {"width": 60, "height": 50},
    "combat": {"base_attack_strength": 70},
    "genome": {"crossover_rate": 0.5, "mutation_rate": 0.6},
    "learning": {"inherited": True, "epsilon": 0.5},
    "agent": {"maximum_age": 50},
}
FAMILIAL = {
    "reproduction": {"minimum_resources": 3, "crowding_limit": 0.05},
    "resources": {"regeneration_probability": 0.9, "nodes": 40},
    "genome": {"crossover_rate": 1.0, "mutation_rate": 0.0},
}


@pytest.mark.parametrize(
    ("given", "seed", "steps"),
    [
        ({}, 7, 200),
        ({"learning": {"mode": "off"}}, 11, 120),
        (CROWDED, 5, 90),
        (FAMILIAL, 2**63 - 1, 60),
        ({"population": {"system": 0, "independent": 1, "control": 0}}, 3, 200),
        ({"resources": {"nodes": 0}}, 1, 60),
        ({"agent": {"social_range": 0, "gathering_range": 0}}, 4, 40),
    ],
    ids=["default", "unlearned", "crowded", "familial", "alone", "barren", "blind"],
)
def test_the_engine_does_what_the_plain_rules_say(
    given: dict[str, object], seed: int, steps: int
) -> None:
    made = configuration(given)
    assert_alike(
        Simulation.begin(made, seed).run(steps).tables,
        run_plainly(Reference(made, seed), steps),
    )


def test_combat_kills_and_names_the_killer() -> None:
    made = configuration({"combat": {"base_attack_strength": 90}})
    tables = Simulation.begin(made, 5).run(200).tables._asdict()
    killed = [row for row in tables["deaths"] if CAUSES[row["cause"]] == "combat"]

    assert killed
    blows = {
        (row["step"], row["agent"], row["other"])
        for row in tables["incidents"]
        if row["after"] == 0 and CAUSES[row["cause"]] == "combat"
    }
    assert blows == {(row["step"], row["agent"], row["killer"]) for row in killed}


def test_who_learns_comes_to_gather_more_than_who_does_not() -> None:
    gathered = {}
    for mode in ("off", "tables"):
        made = configuration(
            {"learning": {"mode": mode, "epsilon_decay": 0.97}},
        )
        total = agents = 0
        for seed in range(6):
            steps = Simulation.begin(made, seed).run(600).tables._asdict()["steps"]
            total += int(steps["gathered"][300:].sum())
            agents += int(steps["agents"][300:].sum())
        gathered[mode] = total / max(agents, 1)

    assert gathered["tables"] > gathered["off"]
