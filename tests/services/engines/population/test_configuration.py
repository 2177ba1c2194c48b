import math

import pytest

from events.errors import Failure
from services.engines.population.configuration import (
    branched,
    configuration,
    overridden,
    tree,
)


BATCH = "$.learning.network.batch"
RATE = "$.learning.network.learning_rate"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"agent": {"base_consumption": -1}}, "$.agent.base_consumption"),
        ({"agent": {"base_consumption": math.nan}}, "$.agent.base_consumption"),
        ({"combat": {"kill_reward": math.inf}}, "$.combat.kill_reward"),
        ({"population": {"system": 10**9}}, "$.population.system"),
        ({"population": {"system": 10**30}}, "$.population.system"),
        ({"population": {"maximum": 10**9}}, "$.population.maximum"),
        ({"population": {"maximum": 29}}, "$.population.maximum"),
        ({"population": {"maximum": 249_000}}, "$.population.maximum"),
        (
            {"population": {"system": 0, "independent": 0, "control": 0}},
            "$.population",
        ),
        ({"resources": {"initial_minimum": 9}}, "$.resources.initial_minimum"),
        ({"resources": {"maximum_amount": 7}}, "$.resources.initial_maximum"),
        ({"resources": {"nodes": 1.5}}, "$.resources.nodes"),
        ({"reproduction": {"offspring_cost": 9}}, "$.reproduction.offspring_cost"),
        ({"learning": {"epsilon": 0}}, "$.learning.epsilon_minimum"),
        ({"learning": {"mode": "deep"}}, "$.learning.mode"),
        (
            {"learning": {"mode": "dqn"}, "ruleset": "agentfarm-2025-07"},
            "$.learning.mode",
        ),
        ({"learning": {"mode": "dqn", "inherited": True}}, "$.learning.inherited"),
        ({"learning": {"network": {"hidden": 0}}}, "$.learning.network.hidden"),
        ({"learning": {"network": {"hidden": 10**9}}}, "$.learning.network.hidden"),
        ({"learning": {"network": {"memory": 10**9}}}, "$.learning.network.memory"),
        ({"learning": {"network": {"batch": 33, "memory": 32}}}, BATCH),
        ({"learning": {"network": {"batch": 257}}}, BATCH),
        ({"learning": {"network": {"batch": 1.5}}}, BATCH),
        ({"learning": {"network": {"updates": -1}}}, "$.learning.network.updates"),
        ({"learning": {"network": {"learning_rate": math.nan}}}, RATE),
        ({"learning": {"network": {"learning_rate": -0.1}}}, RATE),
        ({"learning": {"network": {"learning_rate": 10**30}}}, RATE),
        ({"learning": {"network": {"beta_2": 1}}}, "$.learning.network.beta_2"),
        ({"learning": {"network": {"layers": 3}}}, "$.learning.network"),
        ({"ruleset": "farm-9"}, "$.ruleset"),
        ({"weather": {}}, "$"),
        ({"combat": {"attackrange": 3}}, "$.combat"),
        ({"world": {"width": "wide"}}, "$.world.width"),
        ({"world": {"width": 0}}, "$.world.width"),
        (
            {
                "types": {
                    "control": {
                        "weights": dict.fromkeys(
                            ("move", "gather", "share", "attack", "reproduce"), 0
                        )
                    }
                }
            },
            "$.types.control.weights",
        ),
    ],
)
def test_a_bad_configuration_is_refused_with_its_path(
    given: dict[str, object], path: str
) -> None:
    with pytest.raises(Failure) as refused:
        configuration(given)

    assert refused.value.path == path


def test_a_limit_is_named() -> None:
    with pytest.raises(Failure, match="250000"):
        configuration({"population": {"system": 10**9}})


def test_parameters_are_changed_by_their_paths() -> None:
    base = configuration({})
    made = overridden(base, {"combat.base_attack_strength": 4, "agent.maximum_age": 9})

    assert made.combat.base_attack_strength == 4
    assert made.agent.maximum_age == 9
    assert made.world == base.world


@pytest.mark.parametrize(
    "path", ["combat.strength", "combat", "", "a.b.c", "world.width.x"]
)
def test_a_path_that_names_no_parameter_is_refused(path: str) -> None:
    with pytest.raises(Failure) as refused:
        overridden(configuration({}), {path: 4})

    assert refused.value.path == f"$.{path}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("world.width", 50),
        ("resources.nodes", 3),
        ("learning.mode", "off"),
        ("learning.network.hidden", 8),
    ],
)
def test_a_branch_keeps_what_is_fixed_when_a_run_begins(
    path: str, value: object
) -> None:
    with pytest.raises(Failure, match="fixed when a run begins"):
        branched(configuration({}), {path: value})


def test_networks_are_told_of_only_where_they_matter() -> None:
    small = {"network": {"hidden": 8}}

    assert "network" not in tree(configuration({}))["learning"]
    assert (
        tree(configuration({"learning": small}))["learning"]["network"]["hidden"] == 8
    )
    assert "network" in tree(configuration({"learning": {"mode": "dqn"}}))["learning"]
    for given in ({}, {"learning": small}, {"learning": {"mode": "dqn", **small}}):
        assert configuration(tree(configuration(given))) == configuration(given)
