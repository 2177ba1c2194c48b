"""Networks that a population shares, one per module, and how they learn.

A network has two hidden layers of equal width with ReLU, and an output per choice of
its module. It learns as DQN does (Mnih et al. 2015), with double targets (van Hasselt,
Guez and Silver 2016): a module keeps its last experiences, and each training draws a
batch of them with replacement. For an experience of inputs s, choice a and reward r
that led to inputs t, the goal is r + discount x T(t)[argmax Q(t)], Q the network and T
the target network; the loss is Huber's, its mean over the batch. Adam (Kingma and Ba
2015) moves the weights against the gradient, no farther than `BOUND` from 0, and the
target network follows: T += rate x (Q - T).

All of it is sums, products, quotients and square roots, in the order that is written
here, each rounded to 32 bits as IEEE 754 has it: no library of matrices, no fused or
reordered sums. So the same bytes come out on any machine. Inputs are whole numbers of
1/`SCALE` from -1 to 1; weights are bounded so that nothing can overflow. Parameters lie
as they are used: weights of a layer by their input, then its biases, layer by layer.
"""

from math import sqrt
from typing import Final, NamedTuple

import numpy as np

from events.experiments.vocabulary import CHOICES, FINE, MODULES, SCALE, SELECT
from services.engines.population import chance
from services.engines.population.chance import below, draw, key_of
from services.engines.population.columns import (
    F4,
    F8,
    I8,
    Agent,
    Bytes,
    Floats,
    Integers,
    Records,
    Shorts,
    array_of,
    records,
)
from services.engines.population.compiling import kernel, wide
from services.engines.population.configuration import Learning
from services.engines.population.farm_1 import choices_of
from services.engines.population.rules import one


INPUTS: Final = 12
WIDEST: Final = 5  # choices of a module, at most
UNIT: Final = np.float32(SCALE)
NIL: Final = np.float32(0)
ONE: Final = np.float32(1)
TINY: Final = np.float32(1e-30)
BOUND: Final = np.float32(1_000)  # of a weight


class Teaching:
    """How networks learn."""

    hidden: I8
    memory: I8
    batch: I8
    updates: I8
    epsilon_minimum: I8
    epsilon_decay: I8
    discount: F4
    rate: F4
    target_rate: F4
    huber: F4
    beta_1: F4
    rest_1: F4
    beta_2: F4
    rest_2: F4
    adam_epsilon: F4


class Progress:
    """How far a module is: experiences ever, trainings, and its epsilon in 1/FINE.

    `decay_1` and `decay_2` are Adam's betas to the power of the trainings.
    """

    held: I8
    trained: I8
    epsilon: I8
    decay_1: F8
    decay_2: F8


class Memory(NamedTuple):
    """The last experiences of each module; the next one replaces the oldest."""

    before: Shorts
    after: Shorts
    choice: Bytes
    reward: Integers


class Minds(NamedTuple):
    """All networks, what they remember, and what each slot's agent perceives.

    `seen` are inputs of this step and `last` those of the step before; `space` is where
    a thread calculates.
    """

    teaching: Records[Teaching]
    progress: Records[Progress]
    online: Floats
    target: Floats
    first: Floats
    second: Floats
    gradient: Floats
    memory: Memory
    seen: Shorts
    last: Shorts
    space: Floats


def minds(learning: Learning, room: int, parts: int) -> Minds:
    """Return networks that know nothing, for so many agents and parts of a step."""
    network = learning.network
    hidden, modules = network.hidden, len(MODULES)
    kept = (modules, network.memory)
    given = {
        "hidden": hidden,
        "memory": network.memory,
        "batch": network.batch,
        "updates": network.updates,
        "epsilon_minimum": round(learning.epsilon_minimum * FINE),
        "epsilon_decay": round(learning.epsilon_decay * FINE),
        "discount": learning.discount,
        "rate": network.learning_rate,
        "target_rate": network.target_rate,
        "huber": network.huber_delta,
        "beta_1": network.beta_1,
        "rest_1": 1 - network.beta_1,
        "beta_2": network.beta_2,
        "rest_2": 1 - network.beta_2,
        "adam_epsilon": network.adam_epsilon,
    }
    progress = records(Progress, modules)
    array_of(progress)["epsilon"] = round(learning.epsilon * FINE)
    array_of(progress)["decay_1"] = array_of(progress)["decay_2"] = 1
    size = (modules, parameters(hidden))
    return Minds(
        teaching=one(Teaching, given),
        progress=progress,
        online=np.zeros(size, dtype=np.float32),
        target=np.zeros(size, dtype=np.float32),
        first=np.zeros(size, dtype=np.float32),
        second=np.zeros(size, dtype=np.float32),
        gradient=np.zeros(size, dtype=np.float32),
        memory=Memory(
            before=np.zeros((*kept, INPUTS), dtype=np.int16),
            after=np.zeros((*kept, INPUTS), dtype=np.int16),
            choice=np.zeros(kept, dtype=np.uint8),
            reward=np.zeros(kept, dtype=np.int32),
        ),
        seen=np.zeros((room, INPUTS), dtype=np.int16),
        last=np.zeros((room, INPUTS), dtype=np.int16),
        space=np.zeros((parts, INPUTS + 4 * hidden + WIDEST), dtype=np.float32),
    )


def parameters(hidden: int, choices: int = WIDEST) -> int:
    """Return how many weights and biases a network has."""
    return (INPUTS + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * choices


def awaken(held: Minds, seed: int) -> None:
    """Draw the weights that networks begin with, after Glorot and Bengio 2010.

    Uniform within sqrt(6 / (inputs + outputs)) of the layer; biases are 0.
    """
    hidden = int(held.teaching[0].hidden)
    for module, choices in enumerate(map(len, CHOICES)):
        place = 0
        for inputs, outputs in (
            (INPUTS, hidden),
            (hidden, hidden),
            (hidden, choices),
        ):
            size = inputs * outputs
            span = np.float32(sqrt(6 / (inputs + outputs)))
            weights = held.online[module, place : place + size]
            scatter(weights, seed, module, place, span)
            place += size + outputs
    held.target[:] = held.online


def with_room(held: Minds, room: int) -> Minds:
    """Return the same networks with place for so many agents."""
    more = ((0, room - len(held.seen)), (0, 0))
    return held._replace(seen=np.pad(held.seen, more), last=np.pad(held.last, more))


@kernel
def scatter(
    weights: Floats, seed: int, module: int, first: int, span: np.float32
) -> None:
    """Draw weights from -span to span, each by its own draw."""
    key = key_of(chance.step_key(seed, 0), module)
    for place in range(len(weights)):
        bits = draw(key, chance.WEIGHT + first + place) >> chance.BITS_40
        share = np.float32(wide(bits)) / np.float32(1 << 23) - ONE
        weights[place] = share * span


@kernel
def add(sums: Floats, factor: np.float32, values: Floats) -> None:
    """Add so many times the values to sums."""
    for place in range(len(values)):
        sums[place] += factor * values[place]


@kernel
def evaluate(weights: Floats, space: Floats, hidden: int, choices: int) -> None:
    """Calculate both hidden layers and the values of all choices from the inputs."""
    place = 0
    first, outputs, inputs = 0, hidden, INPUTS
    for layer in range(3):
        if layer == 2:
            outputs = choices
        values = space[first + inputs : first + inputs + outputs]
        biases = place + inputs * outputs
        for output in range(outputs):
            values[output] = weights[biases + output]
        for source in range(inputs):
            row = place + source * outputs
            value, onward = space[first + source], weights[row : row + outputs]
            for output in range(outputs):
                values[output] += value * onward[output]
        if layer < 2:
            for output in range(outputs):
                values[output] = max(values[output], NIL)
        place = biases + outputs
        first += inputs
        inputs = hidden


@kernel
def perceive(inputs: Shorts, space: Floats) -> None:
    """Give a network what is to be perceived."""
    for place in range(INPUTS):
        space[place] = np.float32(inputs[place]) / UNIT


@kernel
def best_choice(space: Floats, first: int, choices: int) -> int:
    """Return the choice of the highest value, the first of equals."""
    best = 0
    for choice in range(1, choices):
        if space[first + choice] > space[first + best]:
            best = choice
    return best


@kernel
def remember(held: Minds, module: int, slot: int, choice: int, reward: int) -> None:
    """Keep what an agent chose, what it brought and where it led."""
    memory, progress = held.memory, held.progress
    place = progress[module].held % held.teaching[0].memory
    for each in range(INPUTS):
        memory.before[module, place, each] = held.last[slot, each]
        memory.after[module, place, each] = held.seen[slot, each]
    memory.choice[module, place] = choice
    memory.reward[module, place] = reward
    progress[module].held += 1


@kernel
def study(held: Minds, module: int, place: int) -> float:
    """Add one experience to a module's gradient; return its error, value less goal."""
    teaching, memory, space = held.teaching[0], held.memory, held.space[0]
    hidden, choices = teaching.hidden, choices_of(module)
    weights, gradient = held.online[module], held.gradient[module]
    values = INPUTS + 2 * hidden
    perceive(memory.after[module, place], space)
    evaluate(weights, space, hidden, choices)
    best = best_choice(space, values, choices)
    evaluate(held.target[module], space, hidden, choices)
    goal = np.float32(memory.reward[module, place]) / UNIT
    goal += teaching.discount * space[values + best]
    perceive(memory.before[module, place], space)
    evaluate(weights, space, hidden, choices)
    choice = wide(memory.choice[module, place])
    error: float = space[values + choice] - goal
    bound = teaching.huber
    slope = min(max(error, -bound), bound) / np.float32(teaching.batch)
    descend(weights, gradient, space, hidden, choices, choice, slope)
    return error


@kernel
def descend(
    weights: Floats,
    gradient: Floats,
    space: Floats,
    hidden: int,
    choices: int,
    choice: int,
    slope: np.float32,
) -> None:
    """Add to a gradient what a slope at the value of one choice comes to."""
    first = space[INPUTS : INPUTS + hidden]
    second = space[INPUTS + hidden : INPUTS + 2 * hidden]
    rest = INPUTS + 2 * hidden + WIDEST
    at_second = space[rest : rest + hidden]
    at_first = space[rest + hidden : rest + 2 * hidden]
    middle = (INPUTS + 1) * hidden
    last = middle + (hidden + 1) * hidden
    gradient[last + hidden * choices + choice] += slope
    for unit in range(hidden):
        place = last + unit * choices + choice
        at_second[unit] = slope * weights[place] if second[unit] > NIL else NIL
        gradient[place] += slope * second[unit]
    add(gradient[last - hidden : last], ONE, at_second)
    for unit in range(hidden):
        at_first[unit] = NIL
        if first[unit] > NIL:
            row = middle + unit * hidden
            add(gradient[row : row + hidden], first[unit], at_second)
            back = NIL
            for other in range(hidden):
                back += weights[row + other] * at_second[other]
            at_first[unit] = back
    add(gradient[middle - hidden : middle], ONE, at_first)
    for source in range(INPUTS):
        row = source * hidden
        add(gradient[row : row + hidden], space[source], at_first)


@kernel
def sizeable(value: float) -> float:
    """Return a number, 0 for one so small that processors differ in keeping it."""
    return value if abs(value) > TINY else value - value


@kernel
def improve(held: Minds, module: int) -> None:
    """Move the weights of a module against its gradient, and its target after them."""
    teaching, progress = held.teaching[0], held.progress[module]
    weights, target = held.online[module], held.target[module]
    first, second = held.first[module], held.second[module]
    gradient = held.gradient[module]
    progress.trained += 1
    progress.decay_1 = sizeable(progress.decay_1 * np.float64(teaching.beta_1))
    progress.decay_2 = sizeable(progress.decay_2 * np.float64(teaching.beta_2))
    share_1 = np.float32(1.0 - progress.decay_1)
    share_2 = np.float32(1.0 - progress.decay_2)
    rate, rest_1, rest_2 = teaching.rate, teaching.rest_1, teaching.rest_2
    beta_1, beta_2 = teaching.beta_1, teaching.beta_2
    least, follow = teaching.adam_epsilon, teaching.target_rate
    for place in range(len(weights)):
        slope = gradient[place]
        first[place] = sizeable(beta_1 * first[place] + rest_1 * slope)
        second[place] = sizeable(beta_2 * second[place] + rest_2 * (slope * slope))
        step = rate * (first[place] / share_1)
        step /= np.sqrt(second[place] / share_2) + least
        weights[place] = min(max(weights[place] - step, -BOUND), BOUND)
        target[place] += follow * (weights[place] - target[place])


@kernel
def train(held: Minds, module: int, key: np.uint64, first: int) -> None:
    """Train a module with one batch, drawn from `first` on."""
    teaching, progress = held.teaching[0], held.progress[module]
    known = min(progress.held, teaching.memory)
    gradient = held.gradient[module]
    for place in range(len(gradient)):
        gradient[place] = NIL
    for turn in range(teaching.batch):
        study(held, module, below(draw(key, chance.BATCH + first + turn), known))
    improve(held, module)
    epsilon = progress.epsilon * teaching.epsilon_decay // FINE
    progress.epsilon = max(epsilon, teaching.epsilon_minimum)


@kernel
def learn(held: Minds, agents: Records[Agent], here: int, seed: int, step: int) -> None:
    """Remember what every agent's last turn led to, then train every module."""
    teaching = held.teaching[0]
    for i in range(here):
        slot = agents[i].slot
        if agents[i].selected >= 0:
            gained = agents[i].gained
            remember(held, SELECT, slot, agents[i].selected, gained)
            remember(held, agents[i].module, slot, agents[i].chosen, gained)
        for each in range(INPUTS):
            held.last[slot, each] = held.seen[slot, each]
    for module in range(len(held.online)):
        key = key_of(chance.step_key(seed, step), module)
        if held.progress[module].held >= teaching.batch:
            for update in range(teaching.updates):
                train(held, module, key, update * teaching.batch)
