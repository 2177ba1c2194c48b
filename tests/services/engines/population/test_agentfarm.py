"""The compatible rule set keeps what its model does, by hand and over many runs."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from events.experiments.vocabulary import (
    ACTIONS,
    CAUSES,
    OUTCOMES,
)
from services.engines.population.columns import (
    array_of,
)
from services.engines.population.configuration import configuration
from services.engines.population.simulation import Simulation
from tests.services.engines.population.alike import assert_alike, run_plainly
from tests.services.engines.population.reference_agentfarm import TurnByTurn


WEIGHTS = ("move", "gather", "share", "attack", "reproduce")
Rows = npt.NDArray[np.void]


def run(steps: int, seed: int = 1, **groups: object) -> dict[str, Rows]:
    made = configuration({"ruleset": "agentfarm-2025-07", **groups})
    tables = Simulation.begin(made, seed).run(steps).tables._asdict()
    return {name: array_of(table) for name, table in tables.items()}


def only(action: str) -> dict[str, Any]:
    weights = {each: 1 if each == action else 0 for each in WEIGHTS}
    kinds = ("system", "independent", "control")
    return {"types": {kind: {"weights": weights} for kind in kinds}}


CROWDED = {
    "population": {"system": 25, "independent": 25, "control": 25, "maximum": 80},
    "world": {"width": 60, "height": 50},
    "combat": {"base_attack_strength": 5_000},
    "resources": {"nodes": 60, "regeneration_probability": 0.5},
    "reproduction": {"minimum_resources": 4, "crowding_limit": 0.3},
}


@pytest.mark.parametrize(
    ("given", "seed", "steps"),
    [
        ({}, 7, 250),
        ({"learning": {"mode": "off"}}, 11, 120),
        (CROWDED, 5, 80),
        ({"population": {"system": 0, "independent": 1, "control": 0}}, 3, 60),
        ({"resources": {"nodes": 0}}, 1, 60),
        ({"agent": {"social_range": 0, "gathering_range": 0}}, 2**63 - 1, 40),
    ],
    ids=["default", "unlearned", "crowded", "alone", "barren", "blind"],
)
def test_the_engine_does_what_the_plain_rules_say(
    given: dict[str, object], seed: int, steps: int
) -> None:
    made = configuration({"ruleset": "agentfarm-2025-07", **given})
    assert_alike(
        Simulation.begin(made, seed).run(steps).tables,
        run_plainly(TurnByTurn(made, seed), steps),
    )


def test_agents_begin_on_the_nodes_with_one_unit() -> None:
    tables = run(0)
    nodes = tables["nodes"]

    assert set(tables["births"]["resources"]) == {10_000}
    births = tables["births"][:20]
    whole = ((births["x"].astype(int) + births["y"]) // 10_000) % 6
    assert (nodes["amount"] == (3 + whole) * 10_000).all()


def test_who_never_eats_dies_at_the_fifteenth_hungry_turn() -> None:
    tables = run(40, **only("move"))

    # 1 unit lasts 6 turns of 0.15; the 7th leaves -0.05 and is the first hungry one.
    assert set(tables["deaths"]["step"]) == {21}
    assert {CAUSES[cause] for cause in tables["deaths"]["cause"]} == {"starvation"}
    held = tables["states"][tables["states"]["step"] == 20]["resources"]
    assert set(held) == {10_000 - 20 * 1_500}


def test_damage_is_scaled_by_resources_and_never_kills() -> None:
    tables = run(6, **only("attack"))
    blows = tables["actions"][tables["actions"]["action"] == ACTIONS.index("attack")]
    struck = blows[blows["outcome"] == OUTCOMES.index("done")]
    first = struck[struck["step"] == 1]

    # 1 - 0.15 = 0.85 is held, a fifth is paid, 2 x 1 x 0.68 / 100 is the damage.
    assert set(first["before"]) == {8_500}
    assert set(first["after"]) == {6_800}
    # Who was struck before strikes a little less hard.
    assert set(first["amount"]) == {136, 135}
    assert {CAUSES[cause] for cause in tables["deaths"]["cause"]} <= {"starvation"}


def test_an_attack_costs_its_share_even_where_nobody_is() -> None:
    tables = run(
        5,
        population={"system": 1, "independent": 0, "control": 0},
        **only("attack"),
    )
    missed = tables["actions"]
    missed = missed[missed["action"] == ACTIONS.index("attack")]
    owing = missed["before"] < 0

    assert missed.size
    assert {OUTCOMES[outcome] for outcome in missed["outcome"]} == {"no_target"}
    paid = np.where(owing, 0, missed["before"] // 5)
    assert (missed["after"] == missed["before"] - paid).all()
    assert tables["steps"]["encounters"][-1] == missed.size


def test_nodes_grow_beyond_the_maximum() -> None:
    steps = run(
        400,
        resources={"nodes": 1, "regeneration_probability": 1},
        **only("move"),
    )["nodes"]

    assert steps["amount"].max() > 30 * 10_000


def test_a_failed_reproduction_is_a_refusal_and_no_action() -> None:
    tables = run(5, **only("reproduce"))

    assert tables["actions"].size == 0
    assert {OUTCOMES[why] for why in tables["refusals"]["outcome"]} == {"too_little"}


def test_children_have_the_inclinations_of_their_type() -> None:
    births = run(600)["births"]
    born = births[births["parent"] >= 0]

    assert born.size
    for kind in set(born["kind"]):
        same = births[births["kind"] == kind]
        assert len({tuple(row) for row in same[list(WEIGHTS)].tolist()}) == 1


def test_only_moves_give_lessons() -> None:
    tables = run(50)
    moves = (tables["actions"]["action"] == ACTIONS.index("move")).sum()

    assert tables["lessons"].size == moves
    assert set(tables["lessons"]["module"]) == {ACTIONS.index("move")}


def test_actions_are_recorded_as_often_as_by_the_model() -> None:
    recorded = lived = refused = 0
    for seed in range(8):
        tables = run(300, seed)
        recorded += tables["actions"].size
        refused += tables["refusals"].size
        lived += int(tables["steps"]["agents"][1:].sum())

    assert recorded / lived == pytest.approx(0.92, abs=0.02)
    assert refused / lived == pytest.approx(0.08, abs=0.05)
