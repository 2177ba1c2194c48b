"""What every rule set writes down of a step, in the call that makes the step."""

from typing import Final

import numpy as np

from services.engines.population.columns import (
    Agent,
    Counters,
    Integers,
    Node,
    Records,
    Rows,
    Tables,
)
from services.engines.population.compiling import kernel, wide
from services.engines.population.rules import Captured


ROUNDING: Final = 1e9


@kernel
def captures(capture: Captured, step: int) -> bool:
    """Say whether a step's rows are recorded."""
    if capture.every == 0 or step < capture.first or step > capture.last:
        return False
    return step % capture.every == 0


@kernel
def entropy_of(nodes: Records[Node], total: int) -> float:
    """Return -sum p ln p over the nodes' shares of what there is, to nine places."""
    if total <= 0:
        return 0.0
    gathered = 0.0
    for node in range(len(nodes)):
        amount = np.float64(nodes[node].amount)
        if amount > 0:
            gathered += amount * np.log(amount)
    entropy = np.log(np.float64(total)) - gathered / np.float64(total)
    rounded: float = np.floor(max(entropy, 0.0) * ROUNDING + 0.5) / ROUNDING
    return rounded


@kernel
def record_birth(
    agents: Records[Agent],
    i: int,
    parent: int,
    other: int,
    genes: Integers,
    counters: Counters,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down that an agent came to be."""
    row, births, slot = rows.births, tables.births, agents[i].slot
    births[row].agent = agents[i].uid
    births[row].step = counters.step
    births[row].kind = agents[i].kind
    births[row].x = agents[i].x
    births[row].y = agents[i].y
    births[row].resources = agents[i].resources
    births[row].health = agents[i].health
    births[row].generation = agents[i].generation
    births[row].parent = parent
    births[row].other_parent = other
    births[row].genome = agents[i].genome
    births[row].move = genes[slot, 0]
    births[row].gather = genes[slot, 1]
    births[row].share = genes[slot, 2]
    births[row].attack = genes[slot, 3]
    births[row].reproduce = genes[slot, 4]
    births[row].learning_rate = genes[slot, 5]
    births[row].discount = genes[slot, 6]
    births[row].epsilon_decay = genes[slot, 7]
    rows.births += 1


@kernel
def record_death(
    uid: int, step: int, cause: int, killer: int, tables: Tables, rows: Rows
) -> None:
    """Write down that an agent died."""
    row, deaths = rows.deaths, tables.deaths
    deaths[row].agent = uid
    deaths[row].step = step
    deaths[row].cause = cause
    deaths[row].killer = killer
    rows.deaths += 1


@kernel
def record_incident(
    uid: int,
    step: int,
    before: int,
    after: int,
    cause: int,
    other: int,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down that an agent's health changed."""
    row, incidents = rows.incidents, tables.incidents
    incidents[row].agent = uid
    incidents[row].step = step
    incidents[row].before = before
    incidents[row].after = after
    incidents[row].cause = cause
    incidents[row].other = other
    rows.incidents += 1


@kernel
def record_action(
    uid: int,
    step: int,
    action: int,
    choice: int,
    outcome: int,
    target: int,
    before: int,
    after: int,
    reward: int,
    amount: int,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down what an agent did."""
    row, actions = rows.actions, tables.actions
    actions[row].step = step
    actions[row].agent = uid
    actions[row].action = action
    actions[row].choice = choice
    actions[row].outcome = outcome
    actions[row].target = target
    actions[row].before = before
    actions[row].after = after
    actions[row].reward = reward
    actions[row].amount = amount
    rows.actions += 1


@kernel
def record_lesson(
    uid: int,
    step: int,
    module: int,
    choice: int,
    reward: int,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down what a learning module decided, and what that brought."""
    row, lessons = rows.lessons, tables.lessons
    lessons[row].step = step
    lessons[row].agent = uid
    lessons[row].module = module
    lessons[row].choice = choice
    lessons[row].reward = reward
    rows.lessons += 1


@kernel
def record_refusal(
    uid: int,
    step: int,
    outcome: int,
    resources: int,
    health: int,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down that an agent could not reproduce."""
    row, refusals = rows.refusals, tables.refusals
    refusals[row].step = step
    refusals[row].agent = uid
    refusals[row].outcome = outcome
    refusals[row].resources = resources
    refusals[row].health = health
    rows.refusals += 1


@kernel
def record_step(
    agents: Records[Agent],
    nodes: Records[Node],
    counters: Counters,
    capture: Captured,
    tables: Tables,
    rows: Rows,
) -> None:
    """Write down where a step ends: sums of all, rows of what the capture asks for."""
    step, alive = counters.step, counters.alive
    resources = health = age = reward = wide(0)
    generation = wide(0)
    system = independent = wide(0)
    wanted = captures(capture, step)
    states, row = tables.states, rows.states
    for i in range(alive):
        system += agents[i].kind == 0
        independent += agents[i].kind == 1
        resources += agents[i].resources
        health += agents[i].health
        age += step - agents[i].birth
        reward += agents[i].reward
        generation = max(generation, wide(agents[i].generation))
        if wanted and agents[i].uid % capture.sample == 0:
            states[row].step = step
            states[row].agent = agents[i].uid
            states[row].x = agents[i].x
            states[row].y = agents[i].y
            states[row].resources = agents[i].resources
            states[row].health = agents[i].health
            states[row].defending = agents[i].defending
            states[row].reward = agents[i].reward
            states[row].age = step - agents[i].birth
            row += 1
    rows.states = row
    total = wide(0)
    row = rows.nodes
    for node in range(len(nodes)):
        total += nodes[node].amount
        if wanted:
            tables.nodes[row].step = step
            tables.nodes[row].node = node
            tables.nodes[row].amount = nodes[node].amount
            tables.nodes[row].x = nodes[node].x
            tables.nodes[row].y = nodes[node].y
            row += 1
    rows.nodes = row
    steps, row = tables.steps, rows.steps
    steps[row].step = step
    steps[row].agents = alive
    steps[row].system = system
    steps[row].independent = independent
    steps[row].control = alive - system - independent
    steps[row].births = counters.births
    steps[row].deaths = counters.deaths
    steps[row].generation = generation
    steps[row].nodes_total = total
    steps[row].agents_total = resources
    steps[row].health_total = health
    steps[row].age_total = age
    steps[row].reward_total = reward
    steps[row].encounters = counters.encounters
    steps[row].successes = counters.successes
    steps[row].shared = counters.shared
    steps[row].genomes = counters.distinct
    steps[row].dominant = counters.dominant
    steps[row].entropy = entropy_of(nodes, total)
    steps[row].depleted = max(wide(0), counters.node_total - total)
    steps[row].gathered = counters.gathered
    steps[row].regenerated = counters.regenerated
    steps[row].consumed = counters.consumed
    steps[row].paid = counters.paid
    steps[row].spent = counters.spent
    steps[row].endowed = counters.endowed
    steps[row].lost = counters.lost
    rows.steps += 1
    counters.node_total = total
    forget(counters)


@kernel
def forget(counters: Counters) -> None:
    """Let what is counted within a step begin at 0."""
    counters.births = 0
    counters.deaths = 0
    counters.gathered = 0
    counters.regenerated = 0
    counters.consumed = 0
    counters.paid = 0
    counters.spent = 0
    counters.endowed = 0
    counters.lost = 0
