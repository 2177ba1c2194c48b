import pytest

from events.experiments.vocabulary import (
    ACTIONS,
    CAUSES,
    MODULES,
    OUTCOMES,
)
from services.engines.population.columns import (
    Step,
    dtype_of,
)
from services.engines.population.configuration import Configuration, configuration
from services.engines.population.simulation import Simulation
from tests.services.engines.population.reference import Reference


NAMES: dict[str, dict[int, tuple[str, ...]]] = {
    "actions": {2: ACTIONS, 4: OUTCOMES},
    "lessons": {2: MODULES},
    "incidents": {4: CAUSES},
    "deaths": {2: CAUSES},
    "refusals": {2: OUTCOMES},
}
ENTROPY = (dtype_of(Step).names or ()).index("entropy")
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


def told(name: str, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows with names for numbers, and the entropy as exact as both can be."""
    words = NAMES.get(name, {})
    return [
        tuple(
            words[place][int(str(value))]
            if place in words
            else round(float(str(value)), 6)
            if name == "steps" and place == ENTROPY
            else value
            for place, value in enumerate(row)
        )
        for row in rows
    ]


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
    recorded = Simulation.begin(made, seed).run(steps).tables
    plain = run_plainly(made, seed, steps)

    for name, table in recorded._asdict().items():
        expected = plain.rows[name]
        if name == "steps":
            expected = [
                (*row[:ENTROPY], round(row[ENTROPY], 6) + 0.0, *row[ENTROPY + 1 :])
                for row in expected
            ]
        assert told(name, table.tolist()) == expected, name


def run_plainly(made: Configuration, seed: int, steps: int) -> Reference:
    plain = Reference(made, seed)
    while plain.step < steps and plain.agents:
        plain.advance()
    return plain


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
