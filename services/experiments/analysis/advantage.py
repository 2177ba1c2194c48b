"""What one type of agents has over another, in six parts from -1 to 1.

A part is 0 where both types are alike and positive where the first is better off.
`lead(a, b)` is (a - b) / (|a| + |b|), and 0 for 0 and 0. Phases are thirds of the
steps.

    acquisition   0.3 early + 0.3 middle + 0.4 late, each the lead in mean resources
    reproduction  0.4 (success rate - success rate) + 0.3 lead in offspring per agent
                  + 0.3 for whose first offspring came sooner
    survival      0.5 lead in restricted mean life + 0.5 (share alive - share alive)
    growth        0.25 early + 0.25 middle + 0.3 late, each the lead in mean numbers,
                  + 0.2 lead in late over early numbers
    combat        0.3 (attack success - attack success) + 0.3 (attacks withstood -
                  attacks withstood) + 0.4 (success against each other)
    position      a third each: lead of the other's mean distance to the nearest
                  resource at birth, in nodes within reach, in what these hold

The composite weighs them .25, .25, .2, .2, .1, .15 over their sum; a part that was not
recorded is left out and the weights are of the others.
"""

from itertools import combinations
from typing import Final

import numpy as np
from scipy.spatial import cKDTree

from services.experiments.analysis.columns import NONE, Flags, Ints, Run
from services.experiments.analysis.measures import lead, ratio
from services.experiments.analysis.results import Advantage
from services.experiments.analysis.survival import lifespan


REACH: Final = 30.0
WEIGHTS: Final = {
    "acquisition": 0.25,
    "reproduction": 0.25,
    "survival": 0.2,
    "growth": 0.2,
    "combat": 0.1,
    "position": 0.15,
}
EARLY_MIDDLE_LATE: Final = (0.3, 0.3, 0.4)
GROWTH_PHASES: Final = (0.25, 0.25, 0.3)
PHASES: Final = 3


def advantages(run: Run) -> list[Advantage] | None:
    """Return what each type has over each other, None of a run without their steps."""
    types = run.steps.types
    if not len(run.steps.step_number) or not types:
        return None
    present = [name for name in types if run.agents.agent_type.rows(name).any()]
    return [_advantage(run, *pair) for pair in combinations(present, 2)]


def _advantage(run: Run, first: str, second: str) -> Advantage:
    parts = {
        "acquisition": acquisition(run, first, second),
        "reproduction": reproduction(run, first, second),
        "survival": survival(run, first, second),
        "growth": growth(run, first, second),
        "combat": combat(run, first, second),
        "position": position(run, first, second),
    }
    known = {name: part for name, part in parts.items() if part is not None}
    total = sum(WEIGHTS[name] for name in known)
    return Advantage(
        first=first,
        second=second,
        acquisition=parts["acquisition"],
        reproduction=parts["reproduction"],
        survival=parts["survival"],
        growth=growth(run, first, second),
        combat=parts["combat"],
        position=parts["position"],
        composite=sum(WEIGHTS[name] * part for name, part in known.items()) / total,
    )


def acquisition(run: Run, first: str, second: str) -> float | None:
    """Return the lead in mean resources over the phases."""
    states = run.states
    if states is None or not len(states.agent_id):
        return None
    known = ~np.isnan(states.resource_level)
    if not known.any():
        return None
    types = run.agents.types_of(states.agent_id)
    phases = _phases(run, states.step_number)
    score = 0.0
    for phase, weight in enumerate(EARLY_MIDDLE_LATE):
        means = []
        for name in (first, second):
            rows = known & (phases == phase) & (types == _code(run, name))
            means.append(float(states.resource_level[rows].mean()) if rows.any() else 0)
        score += weight * lead(*means)
    return score


def reproduction(run: Run, first: str, second: str) -> float | None:
    """Return the lead in reproducing: success, offspring per agent, who was sooner."""
    tried = run.reproductions
    if tried is None:
        return None
    types = run.agents.types_of(tried.agent_id)
    rates, offspring, sooner = [], [], []
    for name in (first, second):
        own = types == _code(run, name)
        won = own & tried.succeeded
        members = int(run.agents.agent_type.rows(name).sum())
        rates.append(ratio(int(won.sum()), int(own.sum())) or 0.0)
        offspring.append(int(won.sum()) / members)
        sooner.append(float(tried.step_number[won].min()) if won.any() else np.inf)
    earlier = float(np.sign(sooner[1] - sooner[0])) if sooner[0] != sooner[1] else 0.0
    return 0.4 * (rates[0] - rates[1]) + 0.3 * lead(*offspring) + 0.3 * earlier


def survival(run: Run, first: str, second: str) -> float | None:
    """Return the lead in living long, and in living at the end."""
    agents = run.agents
    if not agents.mortal:
        return None
    died = agents.death_time != NONE
    ends = np.where(died, agents.death_time, run.last_step)
    lives = np.maximum(ends - agents.birth_time, 0)
    one, two = (
        lifespan(name, lives[rows], died[rows])
        for name, rows in (
            (each, agents.agent_type.rows(each)) for each in (first, second)
        )
    )
    alive = (one.alive.share or 0.0) - (two.alive.share or 0.0)
    return 0.5 * lead(one.restricted_mean, two.restricted_mean) + 0.5 * alive


def growth(run: Run, first: str, second: str) -> float:
    """Return the lead in numbers over the phases, and in how they grew."""
    phases = _phases(run, run.steps.step_number)
    means = [
        [
            float(run.steps.of_type(name)[phases == phase].mean())
            if (phases == phase).any()
            else 0.0
            for phase in range(PHASES)
        ]
        for name in (first, second)
    ]
    score = sum(
        weight * lead(means[0][phase], means[1][phase])
        for phase, weight in enumerate(GROWTH_PHASES)
    )
    grown = [ratio(late, early) or 0.0 for early, _, late in means]
    return score + 0.2 * lead(*grown)


def combat(run: Run, first: str, second: str) -> float | None:
    """Return the lead in attacking, in withstanding, and against each other."""
    actions = run.actions
    if actions is None or actions.action_target_id is None or not actions.told.any():
        return None
    targets = actions.action_target_id
    attacks = actions.action_type.rows("attack") & (targets != NONE) & actions.told
    by = run.agents.types_of(actions.agent_id)
    on = run.agents.types_of(targets)
    one, two = _code(run, first), _code(run, second)

    def success(rows: Flags) -> float | None:
        tried = attacks & rows
        return ratio(int((tried & actions.succeeded).sum()), int(tried.sum()))

    def gap(left: float | None, right: float | None) -> float:
        return 0.0 if left is None or right is None else left - right

    attacking = gap(success(by == one), success(by == two))
    withstanding = gap(success(on == two), success(on == one))
    between = gap(
        success((by == one) & (on == two)), success((by == two) & (on == one))
    )
    return 0.3 * attacking + 0.3 * withstanding + 0.4 * between


def position(run: Run, first: str, second: str) -> float | None:
    """Return the lead of the founders' places among the first step's resources."""
    nodes, agents = run.resources, run.agents
    if nodes is None or not len(nodes.resource_id):
        return None
    now = nodes.step_number == nodes.step_number.min()
    places = np.column_stack([nodes.position_x[now], nodes.position_y[now]])
    amounts = nodes.amount[now]
    if np.isnan(places).any() or np.isnan(amounts).any():
        return None
    tree = cKDTree(places)
    nearest, within, held = [], [], []
    for name in (first, second):
        rows = agents.agent_type.rows(name) & (agents.generation == 0)
        if not rows.any():
            return None
        own = np.column_stack([agents.position_x[rows], agents.position_y[rows]])
        if np.isnan(own).any():
            return None
        nearest.append(float(tree.query(own)[0].mean()))
        reached = tree.query_ball_point(own, REACH)
        within.append(float(np.mean([len(some) for some in reached])))
        held.append(float(np.mean([amounts[some].sum() for some in reached])))
    closer = lead(nearest[1], nearest[0])
    return (closer + lead(*within) + lead(*held)) / 3


def _code(run: Run, name: str) -> int:
    return run.agents.agent_type.names.index(name)


def _phases(run: Run, step_number: Ints) -> Ints:
    """Return for each row the third of the run's steps in which it lies: 0, 1, 2."""
    first = int(run.steps.step_number[0])
    span = run.last_step - first + 1
    return np.minimum((step_number - first) * PHASES // span, PHASES - 1)
