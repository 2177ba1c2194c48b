"""The rule set `agentfarm-2025-07`: the model that the tables come from, as it is.

Agents act one after another in the order of their numbers, and each sees what those
before have done; only who is where is as it was before the step. What differs from
`farm-1`, kept because results depend on it:

- resources may fall below 0; nodes grow without a limit; there is no hard limit to the
  population, `maximum` is only what reproduction and rewards compare it with
- damage is strength x health ratio x resources / 100 and cannot kill; a defender is
  missed; every attack costs its share, whether or not somebody else is there, because
  the attacker itself lies on the border of the circle
- every agent gathers by the parameters of the type that was born last
- agent i begins where node i does, with one unit of resource
- children have the inclinations of their type; a genome is type, generation and birth
- a failed reproduction is recorded as a refusal only, and only moves give lessons

Directions and sub-decisions are drawn alike, as networks that are never trained leave
them. Neighbours are known by their numbers, so that one who died is never mistaken for
another.
"""

from typing import Final

import numpy as np

from events.experiments.vocabulary import (
    ATTACK,
    COMBAT,
    CROWDED,
    DEFEND,
    DONE,
    FULL,
    GATHER,
    MISSED,
    MOVE,
    NO_TARGET,
    REPRODUCE,
    SCALE,
    SHARE,
    STARVATION,
    TARGET_GONE,
    TOO_LITTLE,
    UNHEALTHY,
    WAITED,
)
from services.engines.population import chance
from services.engines.population.chance import below, draw, key_of, mixed
from services.engines.population.compiling import kernel, wide
from services.engines.population.configuration import LARGEST
from services.engines.population.farm_1 import (
    Field,
    Wide,
    begin_counting,
    bury,
    has_room,
    perish,
    pick,
    receiver,
    settle,
)
from services.engines.population.recording import (
    captures,
    record_action,
    record_birth,
    record_incident,
    record_lesson,
    record_refusal,
    record_step,
)
from services.engines.population.space import (
    anyone,
    best_node,
    crowd,
    lay_out_agents,
    lay_out_nodes,
    meets,
    nearest_node,
    sees_node,
)


PATIENCE: Final = 10  # times that an agent waits before it gathers
MARGIN: Final = 2 * SCALE  # what a parent needs beyond the cost of a child
ANY: Final = -(1 << 40)
MOST: Final = 2_000_000_000
FAILURE: Final = -SCALE // 10


@kernel
def advance(field: Field, until: int) -> None:
    """Go on until a step, the last agent's death, or an array that is full."""
    counters = field.counters[0]
    while counters.step < until and counters.alive > 0 and has_room(field):
        make_step(field)


@kernel
def make_step(field: Field) -> None:
    """Let every agent take its turn, then let nodes grow."""
    counters = field.counters[0]
    counters.step += 1
    begin_counting(field)
    lay_out_agents(field.agents, counters.alive, field.grid)
    lay_out_nodes(field.nodes, field.grid, ANY)
    for i in range(counters.here):
        field.plans[i].dead = 0
    for i in range(counters.here):
        take_turn(field, i)
    bury(field)
    grow(field)
    record_step(
        field.agents,
        field.nodes,
        counters,
        field.capture[0],
        field.tables,
        field.rows[0],
    )


@kernel
def take_turn(field: Field, i: int) -> None:
    """Consume, perhaps starve, choose and act."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    agents[i].defending = 0
    agents[i].resources -= rules.consumption
    counters.consumed += rules.consumption
    if agents[i].resources > 0:
        agents[i].starving = 0
    else:
        agents[i].starving += 1
        if agents[i].starving >= rules.starvation:
            field.plans[i].dead = STARVATION
            counters.killed += 1
            perish(field, i, -1)
            return
    key = key_of(chance.step_key(rules.seed, counters.step), agents[i].uid)
    weights = field.weights[i]
    weigh(field, i, weights)
    action = pick(weights, draw(key, chance.CHOOSE))
    bits = draw(key, chance.CHOOSE_WITHIN)
    before = agents[i].resources
    choice, outcome, target = 0, DONE, -1
    reward, shown, amount = wide(0), wide(0), wide(0)
    if action == MOVE:
        choice = below(bits, 4)
        reward, amount = move(field, i, choice)
    elif action == GATHER:
        choice = below(bits, 3)
        outcome, target, reward, amount = gather(field, i, choice)
    elif action == SHARE:
        choice = below(bits, 4)
        outcome, target, reward, amount = share(field, i, choice, key)
        shown = FAILURE if outcome != DONE and outcome != WAITED else 0
    elif action == ATTACK:
        choice = below(bits, 5)
        if choice == 4:
            action = DEFEND
            agents[i].defending = 1
        else:
            outcome, target, amount = attack(field, i, choice, key)
    else:
        choice = below(bits, 2)
        outcome, target, reward = reproduce(field, i, choice)
    agents[i].reward += reward
    uid, rows = agents[i].uid, field.rows[0]
    if not captures(field.capture[0], counters.step):
        return
    if uid % field.capture[0].sample != 0 or (action == REPRODUCE and outcome != DONE):
        return
    record_action(
        uid,
        counters.step,
        action,
        choice,
        outcome,
        target,
        before,
        agents[i].resources,
        reward + shown,
        amount,
        field.tables,
        rows,
    )
    if action == MOVE and rules.learning != 0:
        record_lesson(uid, counters.step, MOVE, choice, reward, field.tables, rows)


@kernel
def weigh(field: Field, i: int, weights: Wide) -> None:
    """Write the weights of the five actions in an agent's situation."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    x, y = wide(agents[i].x), wide(agents[i].y)
    slot, held = agents[i].slot, agents[i].resources
    for action in range(5):
        weights[action] = field.genes[slot, action]
    company = meets(field.grid, x, y, rules.social, i)
    food = sees_node(field.grid, field.nodes, x, y, rules.gathering, ANY)
    health, full = wide(agents[i].health), rules.health
    enough = rules.minimum_resources
    if not food:
        weights[MOVE] = weights[MOVE] * 3 // 2
    elif held < enough:
        weights[GATHER] = weights[GATHER] * 3 // 2
    rich = held > enough
    share_weight = weights[SHARE] * (13 if rich and company else 5) // 10
    weights[SHARE] = share_weight
    desperate = agents[i].starving * 2 > rules.starvation
    fierce = desperate and company and held > 2 * SCALE
    weights[ATTACK] = weights[ATTACK] * (14 if fierce else 6) // 10
    if health * 10 < 3 * full:
        weights[ATTACK] = weights[ATTACK] // 2
    elif health * 10 > 8 * full and rich:
        weights[ATTACK] = weights[ATTACK] * 3 // 2
    fertile = held * 2 > enough * 3 and health * 10 > 8 * full
    weights[REPRODUCE] = weights[REPRODUCE] * (14 if fertile else 3) // 10
    if (counters.alive - counters.killed) * 10 > rules.maximum * 7:
        weights[REPRODUCE] = weights[REPRODUCE] // 2


@kernel
def move(field: Field, i: int, choice: int) -> tuple[int, int]:
    """Go one way, not beyond the border; -0.1, and +0.3 nearer to food, else -0.2."""
    agents, rules, nodes = field.agents, field.rules[0], field.nodes
    x, y = wide(agents[i].x), wide(agents[i].y)
    dx = rules.movement if choice == 0 else (-rules.movement if choice == 1 else 0)
    dy = rules.movement if choice == 2 else (-rules.movement if choice == 3 else 0)
    to_x = min(max(x + dx, 0), rules.width)
    to_y = min(max(y + dy, 0), rules.height)
    agents[i].x = to_x
    agents[i].y = to_y
    node = nearest_node(field.grid, nodes, to_x, to_y, rules.width + rules.height)
    reward = -3 * SCALE // 10
    if node >= 0:
        node_x, node_y = wide(nodes[node].x), wide(nodes[node].y)
        was = (node_x - x) ** 2 + (node_y - y) ** 2
        now = (node_x - to_x) ** 2 + (node_y - to_y) ** 2
        if now < was:
            reward = 2 * SCALE // 10
    return reward, abs(to_x - x) + abs(to_y - y)


@kernel
def gather(field: Field, i: int, choice: int) -> tuple[int, int, int, int]:
    """Take from a node; an agent that waited too often gathers."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    if choice == 2:
        return WAITED, -1, 0, 0
    if choice == 1:
        agents[i].waited += 1
        if agents[i].waited <= PATIENCE:
            return WAITED, -1, 0, 0
    agents[i].waited = 0
    kind = field.kinds[counters.last_kind]
    node = best_node(
        field.grid,
        field.nodes,
        wide(agents[i].x),
        wide(agents[i].y),
        rules.gathering,
        max(kind.minimum, 1),
        kind.efficiency,
        kind.distance_cost,
    )
    if node < 0:
        return NO_TARGET, -1, 0, 0
    taken = min(wide(field.nodes[node].amount), rules.gather)
    field.nodes[node].amount -= taken
    agents[i].resources += taken
    counters.gathered += taken
    reward = taken // 2 + taken * kind.efficiency // max(rules.gather, 1)
    return DONE, wide(node), reward, taken


@kernel
def share(
    field: Field, i: int, choice: int, key: np.uint64
) -> tuple[int, int, int, int]:
    """Give units to another; those below 0 are chosen twice as often."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    if choice == 0:
        return WAITED, -1, 0, 0
    x, y = wide(agents[i].x), wide(agents[i].y)
    target = receiver(field, i, x, y, draw(key, chance.TARGET), 0, -1)
    if target < 0:
        return NO_TARGET, -1, 0, 0
    uid = wide(agents[target].uid)
    if field.plans[target].dead != 0:
        return TARGET_GONE, uid, 0, 0
    amount = min(wide(choice) * SCALE, agents[i].resources - rules.kept)
    if amount <= 0:
        return TOO_LITTLE, uid, 0, 0
    needy = agents[target].resources < 0
    agents[i].resources -= amount
    agents[target].resources += amount
    agents[i].given = counters.step
    counters.shared += amount
    return DONE, uid, amount * (5 if needy else 3) // 10, amount


@kernel
def attack(field: Field, i: int, choice: int, key: np.uint64) -> tuple[int, int, int]:
    """Pay, then strike another if there is one; nobody is ever killed."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    paid = max(agents[i].resources, 0) * rules.attack_cost // SCALE
    agents[i].resources -= paid
    counters.paid += paid
    counters.encounters += 1
    reach = rules.attack_range
    dx = reach if choice == 0 else (-reach if choice == 1 else 0)
    dy = reach if choice == 2 else (-reach if choice == 3 else 0)
    x, y = wide(agents[i].x) + dx, wide(agents[i].y) + dy
    bits = draw(key, chance.TARGET)
    target = anyone(field.grid, agents, x, y, reach, i, bits, -1)
    if target < 0:
        return NO_TARGET, -1, 0
    uid = wide(agents[target].uid)
    if field.plans[target].dead != 0:
        return TARGET_GONE, uid, 0
    strength = rules.strength * wide(agents[i].health) // rules.health
    damage = strength * agents[i].resources // (100 * SCALE)
    if agents[target].defending != 0 or damage <= 0:
        return MISSED, uid, 0
    counters.successes += 1
    before = wide(agents[target].health)
    after = max(before - damage, 0)
    agents[target].health = after
    record_incident(
        uid,
        counters.step,
        before,
        after,
        COMBAT,
        agents[i].uid,
        field.tables,
        field.rows[0],
    )
    return DONE, uid, damage


@kernel
def reproduce(field: Field, i: int, choice: int) -> tuple[int, int, int]:
    """Have a child: 1, and 0.5 if enough is left, 0.3 in a middling population."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    if choice == 0:
        return WAITED, -1, 0
    held, alive = agents[i].resources, counters.alive - counters.killed
    x, y = wide(agents[i].x), wide(agents[i].y)
    outcome = DONE
    if held < max(rules.minimum_resources, rules.offspring_cost + MARGIN):
        outcome = TOO_LITTLE
    elif wide(agents[i].health) * SCALE < rules.minimum_health * rules.health:
        outcome = UNHEALTHY
    elif alive >= LARGEST:
        outcome = FULL
    else:
        near = crowd(field.grid, x, y, rules.crowding_range) - 1
        if near * SCALE > rules.crowding_limit * alive:
            outcome = CROWDED
    if outcome != DONE:
        record_refusal(
            agents[i].uid,
            counters.step,
            outcome,
            held,
            agents[i].health,
            field.tables,
            field.rows[0],
        )
        return outcome, -1, 0
    agents[i].resources -= rules.offspring_cost
    counters.spent += rules.offspring_cost
    child = bear(field, i)
    reward = wide(SCALE)
    if agents[i].resources > rules.minimum_resources:
        reward += SCALE // 2
    if 4 * rules.maximum <= alive * 10 <= 8 * rules.maximum:
        reward += 3 * SCALE // 10
    return DONE, wide(agents[child].uid), reward


@kernel
def bear(field: Field, i: int) -> int:
    """Put a child of its type's inclinations where its parent is."""
    agents, counters = field.agents, field.counters[0]
    counters.free -= 1
    slot, kind = field.free[counters.free], agents[i].kind
    for gene in range(8):
        field.genes[slot, gene] = field.first_genes[kind, gene]
    for place in range(field.learned.shape[1]):
        field.learned[slot, place] = 0
    generation = wide(agents[i].generation) + 1
    genome = lineage(kind, generation, counters.step)
    child = settle(field, kind, slot, agents[i].x, agents[i].y, genome)
    agents[child].resources = field.rules[0].offspring_resources
    agents[child].generation = generation
    counters.endowed += agents[child].resources
    counters.last_kind = kind
    record_birth(
        agents,
        child,
        agents[i].uid,
        -1,
        field.genes,
        counters,
        field.tables,
        field.rows[0],
    )
    return child


@kernel
def lineage(kind: int, generation: int, step: int) -> np.uint64:
    """Return the genome of a type, generation and birth, never 0."""
    digest = mixed(np.uint64(kind + 1) * chance.ODD)
    digest = mixed(digest + np.uint64(generation + 1) * chance.ODD)
    return max(mixed(digest + np.uint64(step + 1) * chance.ODD), np.uint64(1))


@kernel
def grow(field: Field) -> None:
    """Let nodes gain, each by its own draw, without a limit that matters."""
    rules, nodes, counters = field.rules[0], field.nodes, field.counters[0]
    step = chance.step_key(rules.seed, counters.step)
    for node in range(len(nodes)):
        bits = draw(key_of(step, node), chance.GROW)
        if below(bits, SCALE) < rules.regeneration_probability:
            before = wide(nodes[node].amount)
            after = min(before + rules.regeneration_amount, MOST)
            nodes[node].amount = after
            counters.regenerated += after - before
