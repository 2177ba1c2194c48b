"""Decisions of `farm-1` by networks: what an agent perceives, and what follows.

What an agent perceives is twelve numbers, each rounded down to 1/`SCALE`:

0-2    its resources by three times what reproduction needs, its health by full health,
       how long it has starved by what kills; at most 1
3-5    whether a node in range has something, and how far right and up the nearest is
6-8    the share of all others that are in range, rounded up, and how far right and up
       the nearest of them is; distances by the range
9-11   whether it is of the type system, independent, control

A step first lets agents perceive, then networks learn from where the turns before led,
then agents decide. Who died, or was just born, adds nothing to learn from. The select
network mixes into the weights of actions as a table does, 7 parts to 3, unless its
module explores; the module of the action chooses its highest value, unless it explores.
"""

from typing import Final

import numpy as np

from events.experiments.vocabulary import ATTACK, DEFEND, FINE, SCALE, SELECT
from services.engines.population import chance
from services.engines.population.chance import below, draw, key_of
from services.engines.population.columns import Floats
from services.engines.population.compiling import kernel, wide
from services.engines.population.farm_1 import (
    Field,
    Wide,
    choices_of,
    pick,
    seek,
    weigh,
)
from services.engines.population.networks import (
    INPUTS,
    Minds,
    best_choice,
    evaluate,
    perceive,
)
from services.engines.population.space import (
    crowd,
    nearest_agent,
    nearest_node,
)


RICH: Final = 3  # times what reproduction needs
FOOD: Final = 3
COMPANY: Final = 6
KIND: Final = 9
DEFENDS: Final = 4  # the choice of an attacker who defends
MOST: Final = np.float32(FINE)


@kernel
def part_of(value: int, whole: int) -> int:
    """Return what part of a whole a value is, from -1 to 1; of nothing, 0."""
    if whole <= 0:
        return 0
    return min(max(value * SCALE // whole, -SCALE), SCALE)


@kernel
def look(field: Field, held: Minds, first: int, last: int) -> None:
    """Let some agents perceive; each writes only what is its own."""
    agents, rules, grid = field.agents, field.rules[0], field.grid
    others = wide(field.counters[0].here) - 1
    for j in range(first, last):
        i = grid.agents[j].who
        seen = held.seen[agents[i].slot]
        x, y = wide(agents[i].x), wide(agents[i].y)
        enough = RICH * rules.minimum_resources
        seen[0] = part_of(wide(agents[i].resources), enough)
        seen[1] = part_of(wide(agents[i].health), rules.health)
        seen[2] = part_of(wide(agents[i].starving), rules.starvation)
        node = nearest_node(grid, field.nodes, x, y, rules.gathering)
        seen[3] = seen[4] = seen[5] = 0
        if node >= 0:
            seen[3] = SCALE
            seen[4] = part_of(field.nodes[node].x - x, rules.gathering)
            seen[5] = part_of(field.nodes[node].y - y, rules.gathering)
        near = crowd(grid, x, y, rules.social) - 1
        seen[6] = -part_of(-near, others)
        seen[7] = seen[8] = 0
        if near > 0:
            other = nearest_agent(grid, x, y, rules.social, i)
            seen[7] = part_of(agents[other].x - x, rules.social)
            seen[8] = part_of(agents[other].y - y, rules.social)
        for kind in range(3):
            seen[KIND + kind] = SCALE if agents[i].kind == kind else 0


@kernel
def decide(field: Field, held: Minds, first: int, last: int, part: int) -> None:
    """Let some agents decide by what they perceive, in the space of a part."""
    agents, rules, plans = field.agents, field.rules[0], field.plans
    step = chance.step_key(rules.seed, field.counters[0].step)
    hidden, space = held.teaching[0].hidden, held.space[part]
    values = INPUTS + 2 * hidden
    for j in range(first, last):
        i = field.grid.agents[j].who
        weights, seen = field.weights[i], held.seen[agents[i].slot]
        key = key_of(step, agents[i].uid)
        weigh(field, i, seen[FOOD] > 0, seen[COMPANY] > 0, weights)
        perceive(seen, space)
        if not explores(held, SELECT, draw(key, chance.EXPLORE)):
            evaluate(held.online[SELECT], space, hidden, choices_of(SELECT))
            mix(space, values, weights)
        action = pick(weights, draw(key, chance.CHOOSE))
        count = choices_of(action)
        choice = below(draw(key, chance.CHOOSE_WITHIN), count)
        if not explores(held, action, draw(key, chance.EXPLORE_WITHIN)):
            evaluate(held.online[action], space, hidden, count)
            choice = best_choice(space, values, count)
        agents[i].selected = action
        agents[i].chosen = choice
        agents[i].module = action
        plans[i].choice = choice
        plans[i].target = -1
        plans[i].mate = -1
        if action == ATTACK and choice == DEFENDS:
            action = DEFEND
        plans[i].action = action
        x, y = wide(agents[i].x), wide(agents[i].y)
        seek(field, i, x, y, action, choice, key)


@kernel
def explores(held: Minds, module: int, bits: np.uint64) -> bool:
    """Say whether a module leaves a decision to chance."""
    return bool(below(bits, FINE) < held.progress[module].epsilon)


@kernel
def mix(space: Floats, first: int, weights: Wide) -> None:
    """Mix 7 parts of the weights' shares with 3 of the network's values, 0 to 1."""
    whole = wide(0)
    low = high = space[first]
    for action in range(5):
        value = space[first + action]
        low, high = min(low, value), max(high, value)
        whole += weights[action]
    for action in range(5):
        share = weights[action] * FINE // whole if whole > 0 else 0
        worth = wide(0)
        if high > low:
            worth = wide((space[first + action] - low) / (high - low) * MOST)
        weights[action] = 7 * share + 3 * worth
