import math

import pytest

from events.errors import Failure
from services.engines.population.configuration import (
    branched,
    configuration,
    overridden,
)


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
    [("world.width", 50), ("resources.nodes", 3), ("learning.mode", "off")],
)
def test_a_branch_keeps_what_is_fixed_when_a_run_begins(
    path: str, value: object
) -> None:
    with pytest.raises(Failure, match="fixed when a run begins"):
        branched(configuration({}), {path: value})
