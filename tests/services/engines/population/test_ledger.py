import numpy as np
import pytest

from services.engines.population.columns import array_of
from services.engines.population.configuration import configuration
from services.engines.population.ledger import birth_violations, violations
from services.engines.population.simulation import Simulation


@pytest.mark.parametrize("ruleset", ["farm-1", "agentfarm-2025-07"])
def test_every_step_balances(ruleset: str) -> None:
    made = configuration({"ruleset": ruleset, "combat": {"base_attack_strength": 40}})
    run = Simulation.begin(made, 9)
    first = run.run(200).tables
    held, born = array_of(first.steps).copy(), array_of(first.births).copy()
    later = array_of(run.run(400).tables.steps)

    assert list(violations(held)) == []
    assert list(violations(later, held[-1:])) == []
    assert list(birth_violations(born, {})) == []


@pytest.mark.parametrize(
    ("field", "invariant"),
    [
        ("births", "population"),
        ("gathered", "nodes"),
        ("consumed", "agents"),
        ("system", "types"),
        ("step", "steps_follow"),
        ("genomes", "genomes"),
    ],
)
def test_what_does_not_balance_is_named_with_its_step(
    field: str, invariant: str
) -> None:
    steps = array_of(Simulation.begin(configuration({}), 9).run(50).tables.steps)
    steps[field][20] += 1_000

    found = {(each.step, each.invariant) for each in violations(steps)}
    assert invariant in {name for _, name in found}
    assert {step for step, _ in found} <= {20, 21, 1_020}


def test_a_child_of_no_known_parent_is_found() -> None:
    births = array_of(Simulation.begin(configuration({}), 9).run(300).tables.births)
    orphans = births[births["parent"] >= 0][:1]

    assert orphans.size
    (found,) = birth_violations(orphans, {})
    assert found.invariant == "generation"
    assert found.step == int(np.asarray(orphans["step"])[0])
