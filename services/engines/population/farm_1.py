"""The rule set `farm-1`: system, independent and control agents on a plane, by steps.

A step: upkeep, decisions, effects, growth, and what is written down.

Upkeep    Every agent, in the order of their numbers: it stops defending, consumes,
          its resources not below 0, and starves one step longer where none are left,
          or not at all. It dies at the maximum of starvation, or of age.
Decisions Every agent looks at the plane as it is after upkeep, and nobody sees what
          others decide. Weights: the genome's, times what the situation makes of them
          (`weigh`). A learned table mixes in, 7 parts to 3, except when exploring.
          Within the action a module chooses again: a direction, an amount, whether.
Effects   First all who defend begin to, and heal. Then every agent acts in the order
          of their numbers, on what is left by those before; who was killed does not.
          What cannot be done any more is refused, for a reason that is recorded. An
          attack looks at a circle one range away in its direction, costs a share of
          the attacker's resources where somebody is in it, and does strength x health
          ratio of damage, divided by the boost of a defender. A target with no health
          left dies, and its killer is recorded.
Growth    Every node, with a probability, gains an amount, up to its maximum.

Children begin at their parent's place, with genes of one parent or two, and act from
the next step on. Decisions may be made by several threads: each writes its own agents'.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from events.experiments.vocabulary import (
    AGE,
    ATTACK,
    COMBAT,
    CROWDED,
    DEFEND,
    DONE,
    EXHAUSTED,
    FINE,
    FULL,
    GATHER,
    HEALING,
    MISSED,
    MOVE,
    NO_TARGET,
    REPRODUCE,
    SCALE,
    SELECT,
    SHARE,
    SHARED,
    STARVATION,
    TARGET_GONE,
    TOO_LITTLE,
    UNHEALTHY,
    WAITED,
)
from services.engines.population import chance
from services.engines.population.chance import below, draw, key_of
from services.engines.population.columns import (
    I4,
    U1,
    Agent,
    Counters,
    Integers,
    Node,
    Records,
    Rows,
    Tables,
)
from services.engines.population.compiling import kernel, wide
from services.engines.population.genomes import (
    Entry,
    arrive,
    breed,
    crosses,
    leave,
    name,
)
from services.engines.population.recording import (
    captures,
    record_action,
    record_birth,
    record_death,
    record_incident,
    record_lesson,
    record_refusal,
    record_step,
)
from services.engines.population.rules import NETWORKED, Captured, KindRules, Rules
from services.engines.population.space import (
    Grid,
    anyone,
    best_node,
    bounds,
    crowd,
    lay_out_agents,
    lay_out_nodes,
    meets,
    nearest_node,
    sees_node,
)


Wide: TypeAlias = npt.NDArray[np.int64]


class Plan:
    """What agents have decided, and who is dead before the step is over."""

    action: U1
    choice: U1
    target: I4
    mate: I4
    crowded: U1
    dead: U1


class Field(NamedTuple):
    """The whole of a run, as the kernels take it.

    `genes` and `learned` hold a row per slot, `free` the slots that nobody has.
    """

    rules: Records[Rules]
    kinds: Records[KindRules]
    first_genes: Integers
    agents: Records[Agent]
    nodes: Records[Node]
    genes: Integers
    learned: Integers
    free: Integers
    census: Records[Entry]
    histogram: Integers
    grid: Grid
    plans: Records[Plan]
    weights: Wide
    counters: Records[Counters]
    capture: Records[Captured]
    tables: Tables
    rows: Records[Rows]


@kernel
def begin_step(field: Field) -> None:
    """Begin the next step: upkeep, then who is where."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    counters.step += 1
    step = counters.step
    plans = field.plans
    anyone_died = False
    for i in range(counters.alive):
        agents[i].defending = 0
        consumed = min(agents[i].resources, rules.consumption)
        agents[i].resources -= consumed
        counters.consumed += consumed
        plans[i].dead = 0
        if agents[i].resources > 0:
            agents[i].starving = 0
        else:
            agents[i].starving += 1
            if agents[i].starving >= rules.starvation:
                plans[i].dead = STARVATION
        if plans[i].dead == 0 and step - agents[i].birth >= rules.age:
            plans[i].dead = AGE
        if plans[i].dead != 0:
            anyone_died = True
            perish(field, i, -1)
    if anyone_died:
        bury(field)
    begin_counting(field)
    lay_out_agents(agents, counters.alive, field.grid)
    lay_out_nodes(field.nodes, field.grid, 1)  # few have anything, and none gains yet


@kernel
def begin_counting(field: Field) -> None:
    """Note who lives as a step begins, and that nobody was killed yet."""
    counters = field.counters[0]
    counters.here = counters.alive
    counters.killed = 0


@kernel
def perish(field: Field, i: int, killer: int) -> None:
    """Write down a death, whose cause the plans hold."""
    agents, counters = field.agents, field.counters[0]
    uid, cause = agents[i].uid, field.plans[i].dead
    if cause != COMBAT:
        before = agents[i].health
        agents[i].health = 0
        record_incident(
            uid, counters.step, before, 0, cause, -1, field.tables, field.rows[0]
        )
    record_death(uid, counters.step, cause, killer, field.tables, field.rows[0])
    counters.lost += agents[i].resources
    counters.deaths += 1


@kernel
def bury(field: Field) -> None:
    """Close the gaps that the dead leave, in order."""
    agents, counters, plans = field.agents, field.counters[0], field.plans
    to = 0
    for i in range(counters.alive):
        if plans[i].dead != 0:
            leave(field.census, field.histogram, agents[i].genome, counters)
            field.free[counters.free] = agents[i].slot
            counters.free += 1
            continue
        if to != i:
            agents[to].uid = agents[i].uid
            agents[to].kind = agents[i].kind
            agents[to].x = agents[i].x
            agents[to].y = agents[i].y
            agents[to].resources = agents[i].resources
            agents[to].health = agents[i].health
            agents[to].starving = agents[i].starving
            agents[to].reward = agents[i].reward
            agents[to].birth = agents[i].birth
            agents[to].generation = agents[i].generation
            agents[to].given = agents[i].given
            agents[to].waited = agents[i].waited
            agents[to].epsilon = agents[i].epsilon
            agents[to].selected = agents[i].selected
            agents[to].chosen = agents[i].chosen
            agents[to].module = agents[i].module
            agents[to].gained = agents[i].gained
            agents[to].defending = agents[i].defending
            agents[to].genome = agents[i].genome
            agents[to].slot = agents[i].slot
            plans[to].dead = 0
        to += 1
    counters.alive = to


@kernel
def plenty(agents: Records[Agent], i: int, rules: Rules) -> int:
    """Return how well an agent is provided: 0 not at all, to 3 more than enough."""
    if agents[i].resources == 0:
        return 0
    if agents[i].resources < rules.minimum_resources:
        return 1
    return 2 if agents[i].resources * 2 <= rules.minimum_resources * 3 else 3


@kernel
def fitness(agents: Records[Agent], i: int, rules: Rules) -> int:
    """Return 0 below 30 % of full health, 2 above 80 %, 1 between."""
    health = wide(agents[i].health) * 10
    if health < 3 * rules.health:
        return 0
    return 2 if health > 8 * rules.health else 1


@kernel
def weigh(field: Field, i: int, food: bool, company: bool, weights: Wide) -> None:
    """Write the weights of the five actions in an agent's situation."""
    agents, rules = field.agents, field.rules[0]
    slot = agents[i].slot
    for action in range(5):
        weights[action] = field.genes[slot, action]
    fit, rich = fitness(agents, i, rules), plenty(agents, i, rules)
    if not food:
        weights[MOVE] = weights[MOVE] * 3 // 2
    elif rich < 2:
        weights[GATHER] = weights[GATHER] * 3 // 2
    if company and rich >= 2:
        weights[SHARE] = weights[SHARE] * 13 // 10
    else:
        weights[SHARE] = weights[SHARE] // 2
    if company and agents[i].starving * 2 > rules.starvation:
        weights[ATTACK] = weights[ATTACK] * 14 // 10
    else:
        weights[ATTACK] = weights[ATTACK] * 6 // 10
    if fit == 0:
        weights[ATTACK] = weights[ATTACK] // 2
    elif fit == 2 and rich >= 2:
        weights[ATTACK] = weights[ATTACK] * 3 // 2
    if fit == 2 and rich == 3:
        weights[REPRODUCE] = weights[REPRODUCE] * 14 // 10
    else:
        weights[REPRODUCE] = weights[REPRODUCE] * 3 // 10
    if field.counters[0].here * 10 > rules.maximum * 7:
        weights[REPRODUCE] = weights[REPRODUCE] // 2


@kernel
def pick(weights: Wide, bits: np.uint64) -> int:
    """Draw an action by weight; the first where all are 0."""
    whole = wide(0)
    for action in range(5):
        whole += weights[action]
    point = below(bits, whole)
    for action in range(5):
        if point < weights[action]:
            return action
        point -= weights[action]
    return 0


@kernel
def choices_of(module: int) -> int:
    """Return how many choices a module has."""
    if module == GATHER:
        return 3
    if module == REPRODUCE:
        return 2
    return 4 if module == MOVE or module == SHARE else 5


@kernel
def base_of(module: int) -> int:
    """Return where a module's table begins."""
    if module == SELECT:
        return 0
    if module == MOVE:
        return 240
    if module == GATHER:
        return 272
    if module == SHARE:
        return 296
    return 328 if module == ATTACK else 368


@kernel
def best_of(learned: Integers, slot: int, first: int, count: int) -> int:
    """Return the place of the highest value, the first of equals."""
    best = first
    for place in range(first + 1, first + count):
        if learned[slot, place] > learned[slot, best]:
            best = place
    return best


@kernel
def learn(field: Field, slot: int, place: int, gained: int, best: int) -> None:
    """Move a value towards what was gained and what is best from here."""
    learned = field.learned
    rate, discount = wide(field.genes[slot, 5]), wide(field.genes[slot, 6])
    goal = gained * (FINE // SCALE) + discount * learned[slot, best] // FINE
    value = wide(learned[slot, place])
    value += rate * (goal - value) // FINE
    learned[slot, place] = min(max(value, -2_000_000_000), 2_000_000_000)


@kernel
def look_back(field: Field, i: int, state: int, within: int) -> None:
    """Learn from the last turn, now that it is known where it led."""
    agents, rules = field.agents, field.rules[0]
    if agents[i].selected < 0:
        return
    slot, gained = agents[i].slot, wide(agents[i].gained)
    best = best_of(field.learned, slot, state * 5, 5)
    learn(field, slot, agents[i].selected, gained, best)
    module = agents[i].module
    count = choices_of(module)
    best = best_of(field.learned, slot, base_of(module) + within * count, count)
    learn(field, slot, agents[i].chosen, gained, best)
    epsilon = wide(agents[i].epsilon) * field.genes[slot, 7] // FINE
    agents[i].epsilon = max(epsilon, rules.epsilon_minimum)


@kernel
def mix(learned: Integers, slot: int, state: int, weights: Wide) -> None:
    """Mix 7 parts of the weights' shares with 3 of what was learned, 0 to 1."""
    whole = wide(0)
    low = high = wide(learned[slot, state * 5])
    for action in range(5):
        value = wide(learned[slot, state * 5 + action])
        low, high = min(low, value), max(high, value)
        whole += weights[action]
    for action in range(5):
        share = weights[action] * FINE // whole if whole > 0 else 0
        value = wide(learned[slot, state * 5 + action])
        worth = (value - low) * FINE // (high - low) if high > low else 0
        weights[action] = 7 * share + 3 * worth


@kernel
def decide(field: Field, first: int, last: int) -> None:
    """Let some agents decide, neighbours in turn; each writes only what is its own."""
    agents, rules, plans = field.agents, field.rules[0], field.plans
    grid = field.grid
    step = chance.step_key(rules.seed, field.counters[0].step)
    for j in range(first, last):
        i = grid.agents[j].who
        weights = field.weights[i]
        key = key_of(step, agents[i].uid)
        x, y = wide(agents[i].x), wide(agents[i].y)
        slot = agents[i].slot
        company = meets(grid, x, y, rules.social, i)
        food = sees_node(grid, field.nodes, x, y, rules.gathering, 1)
        weigh(field, i, food, company, weights)
        rich = plenty(agents, i, rules)
        state = ((rich * 3 + fitness(agents, i, rules)) * 2 + food) * 2 + company
        within = rich * 2 + company
        if rules.learning:
            look_back(field, i, state, within)
            if below(draw(key, chance.EXPLORE), FINE) >= agents[i].epsilon:
                mix(field.learned, slot, state, weights)
        action = pick(weights, draw(key, chance.CHOOSE))
        count = choices_of(action)
        table = base_of(action) + within * count
        choice = below(draw(key, chance.CHOOSE_WITHIN), count)
        if rules.learning:
            if below(draw(key, chance.EXPLORE_WITHIN), FINE) >= agents[i].epsilon:
                choice = best_of(field.learned, slot, table, count) - table
            agents[i].selected = state * 5 + action
            agents[i].chosen = table + choice
            agents[i].module = action
        plans[i].choice = choice
        plans[i].target = -1
        plans[i].mate = -1
        if action == ATTACK and choice == 4:
            action = DEFEND
        plans[i].action = action
        seek(field, i, x, y, action, choice, key)


@kernel
def seek(
    field: Field, i: int, x: int, y: int, action: int, choice: int, key: np.uint64
) -> None:
    """Find whom or what a decision is about."""
    agents, rules, plans = field.agents, field.rules[0], field.plans
    kind = agents[i].kind
    if action == GATHER and choice == 0:
        plans[i].target = best_node(
            field.grid,
            field.nodes,
            x,
            y,
            rules.gathering,
            max(field.kinds[kind].minimum, 1),
            field.kinds[kind].efficiency,
            field.kinds[kind].distance_cost,
        )
    elif action == SHARE and choice > 0:
        bits = draw(key, chance.TARGET)
        plans[i].target = receiver(field, i, x, y, bits, rules.kept, rules.memory)
    elif action == ATTACK:
        reach = rules.attack_range
        dx = reach if choice == 0 else (-reach if choice == 1 else 0)
        dy = reach if choice == 2 else (-reach if choice == 3 else 0)
        bits = draw(key, chance.TARGET)
        plans[i].target = anyone(field.grid, agents, x + dx, y + dy, reach, i, bits, -1)
    elif action == REPRODUCE and choice == 1:
        near = crowd(field.grid, x, y, rules.crowding_range) - 1
        limit = rules.crowding_limit * field.counters[0].here
        plans[i].crowded = near * SCALE > limit
        if crosses(key, rules):
            bits = draw(key, chance.MATE)
            plans[i].mate = anyone(
                field.grid, agents, x, y, rules.social, i, bits, kind
            )


@kernel
def receiver(
    field: Field, i: int, x: int, y: int, bits: np.uint64, needy: int, memory: int
) -> int:
    """Draw whom to give to: the needy and those who gave lately weigh double each.

    A candidate of weight w has the best of w ranks.
    """
    grid, agents, reach = field.grid, field.agents, field.rules[0].social
    left, right, low, high = bounds(grid, x, y, reach)
    step = field.counters[0].step
    best = np.uint64(0)
    found = -1
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        for j in range(grid.start[base + left], grid.start[base + right + 1]):
            dx = grid.agents[j].x - x
            dy = grid.agents[j].y - y
            other = grid.agents[j].who
            if dx * dx + dy * dy > reach * reach or other == i:
                continue
            weight = 2 if agents[other].resources < needy else 1
            given = agents[other].given
            if given > 0 and step - given <= memory:
                weight *= 2
            ranked = np.uint64(0)
            for turn in range(weight):
                ranked = max(ranked, draw(bits, agents[other].uid * 4 + turn))
            if found < 0 or ranked > best or (ranked == best and other < found):
                best = ranked
                found = other
    return found


@kernel
def act(field: Field) -> None:
    """Let the decisions take effect, in the order of the agents' numbers."""
    agents, plans, rules = field.agents, field.plans, field.rules[0]
    counters, tables, rows = field.counters[0], field.tables, field.rows[0]
    step, here = counters.step, counters.here
    wanted = captures(field.capture[0], step)
    for i in range(here):
        if plans[i].action == DEFEND:
            agents[i].defending = 1
            heal(field, i)
    for i in range(here):
        if plans[i].dead != 0:
            continue
        before = agents[i].resources
        action, choice = plans[i].action, plans[i].choice
        outcome, target, reward, amount = DONE, -1, wide(0), wide(0)
        if action == MOVE:
            reward, amount = move(field, i, choice)
        elif action == GATHER:
            outcome, target, reward, amount = gather(field, i, choice)
        elif action == SHARE:
            outcome, target, reward, amount = share(field, i, choice)
        elif action == ATTACK:
            outcome, target, reward, amount = attack(field, i)
        elif action == REPRODUCE:
            outcome, target, reward = reproduce(field, i, choice)
        agents[i].reward += reward
        agents[i].gained = reward
        uid = agents[i].uid
        if wanted and uid % field.capture[0].sample == 0:
            record_action(
                uid,
                step,
                action,
                choice,
                outcome,
                target,
                before,
                agents[i].resources,
                reward,
                amount,
                tables,
                rows,
            )
            if rules.learning:
                chosen = ATTACK if action == DEFEND else action
                shared = SHARED if rules.learning == NETWORKED else 0
                record_lesson(uid, step, shared + SELECT, chosen, reward, tables, rows)
                record_lesson(uid, step, shared + chosen, choice, reward, tables, rows)
    bury(field)


@kernel
def heal(field: Field, i: int) -> None:
    """Let a defender recover, up to full health."""
    agents, rules = field.agents, field.rules[0]
    before = wide(agents[i].health)
    after = min(before + rules.healing, rules.health)
    if after > before:
        agents[i].health = after
        record_incident(
            agents[i].uid,
            field.counters[0].step,
            before,
            after,
            HEALING,
            -1,
            field.tables,
            field.rows[0],
        )


@kernel
def move(field: Field, i: int, choice: int) -> tuple[int, int]:
    """Go one way, not beyond the border; -0.1, and +0.3 nearer to food, else -0.2."""
    agents, rules = field.agents, field.rules[0]
    x, y = wide(agents[i].x), wide(agents[i].y)
    dx = rules.movement if choice == 0 else (-rules.movement if choice == 1 else 0)
    dy = rules.movement if choice == 2 else (-rules.movement if choice == 3 else 0)
    to_x = min(max(x + dx, 0), rules.width)
    to_y = min(max(y + dy, 0), rules.height)
    agents[i].x = to_x
    agents[i].y = to_y
    nodes = field.nodes
    node = nearest_node(field.grid, nodes, to_x, to_y, rules.gathering)
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
    """Take from a node: 0.5 per unit, and what share of the most it was."""
    agents, rules, target = field.agents, field.rules[0], field.plans[i].target
    if choice != 0:
        return WAITED, -1, 0, 0
    if target < 0:
        return NO_TARGET, -1, 0, 0
    taken = min(wide(field.nodes[target].amount), rules.gather)
    if taken <= 0:
        return EXHAUSTED, wide(target), 0, 0
    field.nodes[target].amount -= taken
    agents[i].resources += taken
    field.counters[0].gathered += taken
    efficiency = field.kinds[agents[i].kind].efficiency
    return (
        DONE,
        wide(target),
        taken // 2 + taken * efficiency // rules.gather,
        taken,
    )


@kernel
def share(field: Field, i: int, choice: int) -> tuple[int, int, int, int]:
    """Give units to another: 0.3 each, 0.5 to the needy; a refusal costs a penalty."""
    agents, rules, target = field.agents, field.rules[0], field.plans[i].target
    if choice == 0:
        return WAITED, -1, 0, 0
    if target < 0:
        return NO_TARGET, -1, -rules.penalty, 0
    uid = wide(agents[target].uid)
    if field.plans[target].dead != 0:
        return TARGET_GONE, uid, -rules.penalty, 0
    amount = min(wide(choice) * SCALE, agents[i].resources - rules.kept)
    if amount <= 0:
        return TOO_LITTLE, uid, -rules.penalty, 0
    needy = agents[target].resources < rules.kept
    agents[i].resources -= amount
    agents[target].resources += amount
    agents[i].given = field.counters[0].step
    field.counters[0].shared += amount
    return DONE, uid, amount * (5 if needy else 3) // 10, amount


@kernel
def attack(field: Field, i: int) -> tuple[int, int, int, int]:
    """Strike another, for a cost; the reward is a part of the damage, more to kill."""
    agents, rules, target = field.agents, field.rules[0], field.plans[i].target
    counters, plans = field.counters[0], field.plans
    if target < 0:
        return NO_TARGET, -1, -rules.penalty, 0
    uid = wide(agents[target].uid)
    if plans[target].dead != 0:
        return TARGET_GONE, uid, -rules.penalty, 0
    paid = agents[i].resources * rules.attack_cost // SCALE
    agents[i].resources -= paid
    counters.paid += paid
    counters.encounters += 1
    damage = rules.strength * wide(agents[i].health) // rules.health
    if agents[target].defending != 0:
        damage = damage * SCALE // rules.defense_boost
    if damage <= 0:
        return MISSED, uid, -rules.penalty, 0
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
    reward = damage * rules.damage_reward // SCALE
    if after == 0:
        plans[target].dead = COMBAT
        counters.killed += 1
        perish(field, target, agents[i].uid)
        reward += rules.kill_reward
    return DONE, uid, reward, damage


@kernel
def reproduce(field: Field, i: int, choice: int) -> tuple[int, int, int]:
    """Have a child: 1, and 0.5 if enough is left, 0.3 in a middling population."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    if choice == 0:
        return WAITED, -1, 0
    outcome = DONE
    if agents[i].resources < rules.minimum_resources:
        outcome = TOO_LITTLE
    elif wide(agents[i].health) * SCALE < rules.minimum_health * rules.health:
        outcome = UNHEALTHY
    elif field.plans[i].crowded != 0:
        outcome = CROWDED
    elif counters.alive - counters.killed >= rules.maximum:
        outcome = FULL
    if outcome != DONE:
        record_refusal(
            agents[i].uid,
            counters.step,
            outcome,
            agents[i].resources,
            agents[i].health,
            field.tables,
            field.rows[0],
        )
        return outcome, -1, 0
    agents[i].resources -= rules.offspring_cost
    counters.spent += rules.offspring_cost
    child = bear(field, i)
    reward = SCALE
    if agents[i].resources > rules.minimum_resources:
        reward += SCALE // 2
    here = counters.here * 10
    if 4 * rules.maximum <= here <= 8 * rules.maximum:
        reward += 3 * SCALE // 10
    return DONE, wide(agents[child].uid), reward


@kernel
def bear(field: Field, i: int) -> int:
    """Put a child where its parent is; a mate that was killed still is one."""
    agents, rules, counters = field.agents, field.rules[0], field.counters[0]
    mate = field.plans[i].mate
    counters.free -= 1
    slot = field.free[counters.free]
    key = key_of(chance.step_key(rules.seed, counters.step), agents[i].uid)
    second = agents[mate].slot if mate >= 0 else -1
    breed(field.genes, slot, agents[i].slot, second, key, rules)
    if rules.learning:
        for place in range(field.learned.shape[1]):
            known = field.learned[agents[i].slot, place]
            field.learned[slot, place] = known if rules.inherited else 0
    genome = name(field.genes, slot, agents[i].kind)
    child = settle(field, agents[i].kind, slot, agents[i].x, agents[i].y, genome)
    agents[child].resources = rules.offspring_resources
    agents[child].generation = agents[i].generation + 1
    counters.endowed += rules.offspring_resources
    other = agents[mate].uid if mate >= 0 else -1
    record_birth(
        agents,
        child,
        agents[i].uid,
        other,
        field.genes,
        counters,
        field.tables,
        field.rows[0],
    )
    return child


@kernel
def settle(
    field: Field, kind: int, slot: int, x: int, y: int, genome: np.uint64
) -> int:
    """Put a new agent at a place, with the genes of a slot and nothing else."""
    agents, counters = field.agents, field.counters[0]
    i = counters.alive
    agents[i].uid = counters.next
    agents[i].kind = kind
    agents[i].x = x
    agents[i].y = y
    agents[i].resources = 0
    agents[i].health = field.rules[0].health
    agents[i].starving = 0
    agents[i].reward = 0
    agents[i].birth = counters.step
    agents[i].generation = 0
    agents[i].given = 0
    agents[i].waited = 0
    agents[i].epsilon = field.rules[0].epsilon
    agents[i].selected = -1
    agents[i].chosen = -1
    agents[i].module = -1
    agents[i].gained = 0
    agents[i].defending = 0
    agents[i].slot = slot
    agents[i].genome = genome
    field.plans[i].dead = 0
    arrive(field.census, field.histogram, agents[i].genome, counters)
    counters.next += 1
    counters.alive += 1
    counters.births += 1
    return i


@kernel
def finish_step(field: Field) -> None:
    """Finish a step whose decisions are made, and write it down."""
    act(field)
    grow(field)
    record_step(
        field.agents,
        field.nodes,
        field.counters[0],
        field.capture[0],
        field.tables,
        field.rows[0],
    )


@kernel
def has_room(field: Field) -> bool:
    """Say whether one more step surely fits into the arrays."""
    alive = field.counters[0].alive
    tables, rows = field.tables, field.rows[0]
    return bool(
        2 * alive <= len(field.agents)
        and 2 * (field.counters[0].entries + alive) <= len(field.census)
        and rows.steps < len(tables.steps)
        and rows.states + 2 * alive <= len(tables.states)
        and rows.nodes + len(field.nodes) <= len(tables.nodes)
        and rows.actions + alive <= len(tables.actions)
        and rows.lessons + 2 * alive <= len(tables.lessons)
        and rows.incidents + 3 * alive <= len(tables.incidents)
        and rows.births + alive <= len(tables.births)
        and rows.deaths + 2 * alive <= len(tables.deaths)
        and rows.refusals + alive <= len(tables.refusals)
    )


@kernel
def advance(field: Field, until: int) -> None:
    """Go on until a step, the last agent's death, or an array that is full."""
    counters = field.counters[0]
    while counters.step < until and counters.alive > 0 and has_room(field):
        begin_step(field)
        decide(field, 0, counters.here)
        finish_step(field)


@kernel
def count_genomes(field: Field) -> None:
    """Count the genomes of the living, from nothing."""
    counters = field.counters[0]
    counters.entries = 0
    counters.distinct = 0
    counters.dominant = 0
    for i in range(counters.alive):
        arrive(field.census, field.histogram, field.agents[i].genome, counters)


@kernel
def grow(field: Field) -> None:
    """Let nodes gain, each by its own draw."""
    rules, nodes, counters = field.rules[0], field.nodes, field.counters[0]
    step = chance.step_key(rules.seed, counters.step)
    for node in range(len(nodes)):
        bits = draw(key_of(step, node), chance.GROW)
        if below(bits, SCALE) < rules.regeneration_probability:
            before = wide(nodes[node].amount)
            after = min(before + rules.regeneration_amount, rules.maximum_amount)
            if after > before:
                nodes[node].amount = after
                counters.regenerated += after - before
