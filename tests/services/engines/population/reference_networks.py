"""The rules of `farm-1` for networks a second time, plainly, with matrices of numpy.

As in `reference`, nothing of the engine is called but its configuration. Sums are taken
one summand after another, since rounding depends on their order.
"""

from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from events.experiments.vocabulary import MODULES
from services.engines.population.configuration import Configuration, Learning
from tests.services.engines.population.reference import (
    ACTIONS,
    CHOICES,
    FINE,
    One,
    Reference,
    S,
    below,
    bits,
    unit,
)


F: Final = np.float32
INPUTS: Final = 12
Floats = npt.NDArray[np.float32]
Experience = tuple[list[int], int, int, list[int]]


def whole(parts: Floats) -> Floats:
    """Return the sum over the first axis, in order."""
    total = np.zeros(parts.shape[1:], dtype=F)
    for part in parts:
        total = total + part
    return total


def forward(layers: list[Floats], inputs: Floats) -> list[Floats]:
    """Return what every layer gives: two hidden ones and the values."""
    given = [inputs]
    for place in range(0, 6, 2):
        weights, biases = layers[place], layers[place + 1]
        summed = biases.copy()
        for value, row in zip(given[-1], weights, strict=True):
            summed = summed + value * row
        given.append(np.maximum(summed, F(0)) if place < 4 else summed)
    return given


def gradients(
    layers: list[Floats], inputs: Floats, choice: int, slope: np.float32
) -> list[Floats]:
    """Return what a slope at the value of one choice comes to, layer by layer."""
    inputs, first, second, values = forward(layers, inputs)
    at_values = np.zeros_like(values)
    at_values[choice] = slope
    at_second = np.where(second > 0, slope * layers[4][:, choice], F(0))
    at_first = np.where(first > 0, whole((layers[2] * at_second).T), F(0))
    return [
        np.outer(inputs, at_first),
        at_first,
        np.outer(first, at_second),
        at_second,
        np.outer(second, at_values),
        at_values,
    ]


class Module:
    """A network that learns."""

    def __init__(
        self, learning: Learning, choices: int, seed: int, number: int
    ) -> None:
        hidden = learning.network.hidden
        self.learning = learning
        self.epsilon = round(learning.epsilon * FINE)
        self.layers: list[Floats] = []
        self.held: list[Experience] = []
        self.count = self.trained = 0
        self.decays = (1.0, 1.0)
        place = 0
        for a, b in ((INPUTS, hidden), (hidden, hidden), (hidden, choices)):
            span = F(sqrt(6 / (a + b)))
            drawn = [
                F(bits(seed, 0, number, 65_536 + place + each) >> 40) / F(2**23) - F(1)
                for each in range(a * b)
            ]
            self.layers.append(np.array(drawn, dtype=F).reshape(a, b) * span)
            self.layers.append(np.zeros(b, dtype=F))
            place += a * b + b
        self.target = [layer.copy() for layer in self.layers]
        self.first = [np.zeros_like(layer) for layer in self.layers]
        self.second = [np.zeros_like(layer) for layer in self.layers]

    def values(self, seen: list[int]) -> Floats:
        return forward(self.layers, np.array(seen, dtype=F) / F(S))[-1]

    def keep(self, experience: Experience) -> None:
        memory = self.learning.network.memory
        self.held[self.count % memory : self.count % memory + 1] = [experience]
        self.count += 1

    def train(self, drawn: list[int]) -> None:
        network = self.learning.network
        sums = [np.zeros_like(layer) for layer in self.layers]
        for place in drawn:
            before, choice, reward, after = self.held[place]
            best = int(self.values(after).argmax())
            led = forward(self.target, np.array(after, dtype=F) / F(S))[-1][best]
            goal = F(reward) / F(S) + F(self.learning.discount) * led
            error = self.values(before)[choice] - goal
            slope = np.clip(error, -F(network.huber_delta), F(network.huber_delta))
            slope = slope / F(network.batch)
            inputs = np.array(before, dtype=F) / F(S)
            found = gradients(self.layers, inputs, choice, slope)
            sums = [a + b for a, b in zip(sums, found, strict=True)]
        self._follow(sums)
        decay = round(self.learning.epsilon_decay * FINE)
        least = round(self.learning.epsilon_minimum * FINE)
        self.epsilon = max(self.epsilon * decay // FINE, least)

    def _follow(self, sums: list[Floats]) -> None:
        network = self.learning.network
        betas = F(network.beta_1), F(network.beta_2)
        rests = F(1 - network.beta_1), F(1 - network.beta_2)
        self.decays = (
            self.decays[0] * float(betas[0]),
            self.decays[1] * float(betas[1]),
        )
        shares = F(1 - self.decays[0]), F(1 - self.decays[1])
        for place, slope in enumerate(sums):
            moment = betas[0] * self.first[place] + rests[0] * slope
            self.first[place] = np.where(abs(moment) > F(1e-30), moment, F(0))
            moment = betas[1] * self.second[place] + rests[1] * (slope * slope)
            self.second[place] = np.where(moment > F(1e-30), moment, F(0))
            step = F(network.learning_rate) * (self.first[place] / shares[0])
            root = np.sqrt(self.second[place] / shares[1])
            moved = self.layers[place] - step / (root + F(network.adam_epsilon))
            self.layers[place] = np.clip(moved, F(-1000), F(1000))
            behind = self.layers[place] - self.target[place]
            self.target[place] = self.target[place] + F(network.target_rate) * behind


class ReferenceWithNetworks(Reference):
    """A run of `farm-1` whose agents share networks."""

    owner = "shared "

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.modules = {
            name: Module(configuration.learning, CHOICES.get(name, 5), seed, number)
            for number, name in enumerate(MODULES)
        }
        self.seen: dict[int, list[int]] = {}
        super().__init__(configuration, seed)

    def _consider(self) -> None:
        was, self.seen = self.seen, {}
        for place, agent in enumerate(self.here):
            self.seen[agent.uid] = self._perceived(place, agent)
        for agent in self.here:
            if agent.last is None:
                continue
            _, action, _, choice = agent.last
            for name, made in (("select", ACTIONS.index(action)), (action, choice)):
                led = self.seen[agent.uid]
                self.modules[name].keep((was[agent.uid], made, agent.gained, led))
        network = self.made.learning.network
        for number, module in enumerate(self.modules.values()):
            for update in range(network.updates):
                if module.count < network.batch:
                    break
                first = 128 + update * network.batch
                module.train(
                    [
                        below(
                            bits(self.seed, self.step, number, each), len(module.held)
                        )
                        for each in range(first, first + network.batch)
                    ]
                )

    def _perceived(self, place: int, agent: One) -> list[int]:
        made, rules = self.made, self.made.agent
        seen = [
            self._part(agent.resources, 3 * unit(made.reproduction.minimum_resources)),
            self._part(agent.health, unit(rules.starting_health)),
            self._part(agent.starving, rules.maximum_starvation_time),
        ]
        reach = unit(rules.gathering_range)
        there = np.where(
            self.amounts > 0,
            self._distances(agent.x, agent.y),
            np.iinfo(np.int64).max,
        )
        node = int(there.argmin()) if there.size else -1
        if node >= 0 and there[node] <= reach**2:
            x, y = map(int, self.places[node])
            seen += [S, self._part(x - agent.x, reach), self._part(y - agent.y, reach)]
        else:
            seen += [0, 0, 0]
        reach = unit(rules.social_range)
        near = [each for each in self._near(agent.x, agent.y, reach) if each != place]
        seen.append(-self._part(-len(near), len(self.here) - 1))
        squares = ((self.alive - (agent.x, agent.y)) ** 2).sum(axis=1)
        other = min(near, key=lambda each: int(squares[each]), default=None)
        for axis, own in enumerate((agent.x, agent.y)):
            away = 0 if other is None else int(self.alive[other, axis]) - own
            seen.append(self._part(away, reach))
        return seen + [S * (agent.kind == kind) for kind in range(3)]

    @staticmethod
    def _part(value: int, most: int) -> int:
        return min(max(value * S // most, -S), S) if most else 0

    def _decide(self, place: int, agent: One) -> None:
        seen = self.seen[agent.uid]
        weights = self._weights(
            agent,
            self._plenty(agent),
            self._fitness(agent),
            food=seen[3] > 0,
            company=seen[6] > 0,
        )

        def drawn(purpose: int) -> int:
            return bits(self.seed, self.step, agent.uid, purpose)

        module = self.modules["select"]
        if below(drawn(1), FINE) >= module.epsilon:
            weights = self._mixed_in(module.values(seen), weights)
        point = below(drawn(2), sum(weights))
        chosen = int(np.searchsorted(np.cumsum(weights), point, side="right"))
        action = ACTIONS[chosen] if sum(weights) else "move"
        choice = below(drawn(4), CHOICES[action])
        module = self.modules[action]
        if below(drawn(3), FINE) >= module.epsilon:
            choice = int(module.values(seen).argmax())
        agent.last = (0, action, 0, choice)
        agent.plan = (action, choice)
        self._seek(place, agent, action, choice)

    @staticmethod
    def _mixed_in(values: Floats, weights: list[int]) -> list[int]:
        low, span, total = values.min(), values.max() - values.min(), sum(weights)
        return [
            7 * (weight * FINE // total if total else 0)
            + 3 * (int((value - low) / span * F(FINE)) if span else 0)
            for weight, value in zip(weights, values, strict=True)
        ]
