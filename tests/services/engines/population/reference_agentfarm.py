"""The rules of `agentfarm-2025-07` a second time, slow and plain, turn after turn.

Who is where counts as it was before the step; everything else as those before have
left it. As in `reference`, nothing of the engine is called but its configuration.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from events.experiments.vocabulary import KINDS
from services.engines.population.configuration import LARGEST, Configuration
from tests.services.engines.population.reference import (
    ACTIONS,
    MASK,
    ODD,
    One,
    Reference,
    S,
    below,
    bits,
    deal,
    mix,
    unit,
)


WAITS: Final = 10
WAYS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1))
CHOICES: Final = {"move": 4, "gather": 3, "share": 4, "attack": 5, "reproduce": 2}

Acted = tuple[str, int, int, int, int]  # outcome, target, reward, shown besides, amount


@dataclass
class Descendant(One):
    """An agent whose genome is its descent."""

    waited: int = 0

    @property
    def genome(self) -> int:
        digest = 0
        for part in (self.kind, self.generation, self.birth):
            digest = mix((digest + (part + 1) * ODD) & MASK)
        return max(digest, 1)


class TurnByTurn(Reference):
    """A run of `agentfarm-2025-07`."""

    person = Descendant

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.last_born = 0
        super().__init__(configuration, seed)

    # The beginning

    def _place_nodes(self) -> None:
        super()._place_nodes()
        resources = self.made.resources
        least, most = unit(resources.initial_minimum), unit(resources.initial_maximum)
        levels = (most - least) // S + 1
        whole = self.places.sum(axis=1) // S
        self.amounts = least + whole % levels * S

    def _place_agents(self) -> None:
        for kind, name in enumerate(KINDS):
            for _ in range(getattr(self.made.population, name)):
                x, y = (
                    below(bits(self.seed, 0, self.numbers, purpose), unit(side) + 1)
                    for purpose, side in (
                        (65, self.made.world.width),
                        (66, self.made.world.height),
                    )
                )
                self._add(kind, x, y, S, 0, self._first_genes(name), (-1, -1))
                self.last_born = kind

    # A step

    def advance(self) -> None:
        self.step += 1
        self.here = list(self.agents)
        places = [(one.x, one.y) for one in self.here]
        self.alive = np.array(places, dtype=np.int64).reshape(-1, 2)
        for place, agent in enumerate(self.here):
            self._take_turn(place, agent)
        self.agents = [agent for agent in self.agents if not agent.dead]
        self._grow()
        self._write()

    def _take_turn(self, place: int, agent: One) -> None:
        consumed = unit(self.made.agent.base_consumption)
        agent.defending = False
        agent.resources -= consumed
        self.ledger["consumed"] += consumed
        agent.starving = 0 if agent.resources > 0 else agent.starving + 1
        if agent.starving >= self.made.agent.maximum_starvation_time:
            agent.dead = "starvation"
            self._incident(agent, 0, agent.dead, -1)
            self._perish(agent, -1)
            return
        action = self._chosen(self._inclinations(place, agent), self._drawn(agent, 2))
        choice = below(self._drawn(agent, 4), CHOICES[action])
        before, agent.plan = agent.resources, (action, choice)
        outcome, target, reward, shown, amount = self._turn(place, agent)
        agent.reward += reward
        if action == "reproduce" and outcome != "done":
            return
        name = "defend" if agent.plan == ("attack", 4) else action
        told = (name, choice, outcome, target, before, agent.resources, reward + shown)
        self.rows["actions"].append((self.step, agent.uid, *told, amount))
        if action == "move" and self.made.learning.mode == "tables":
            row = (self.step, agent.uid, action, choice, reward)
            self.rows["lessons"].append(row)

    def _drawn(self, agent: One, purpose: int) -> int:
        return bits(self.seed, self.step, agent.uid, purpose)

    def _living(self) -> int:
        return sum(not each.dead for each in self.agents)

    def _inclinations(self, place: int, agent: One) -> list[int]:
        move, gather, share, attack, reproduce = agent.genes[:5]
        full = unit(self.made.agent.starting_health)
        enough = unit(self.made.reproduction.minimum_resources)
        held, company = agent.resources, bool(self._others(place, agent))
        squares = self._distances(agent.x, agent.y)
        if not (squares <= unit(self.made.agent.gathering_range) ** 2).any():
            move = move * 3 // 2
        elif held < enough:
            gather = gather * 3 // 2
        share = share * (13 if held > enough and company else 5) // 10
        starved = 2 * agent.starving > self.made.agent.maximum_starvation_time
        attack = attack * (14 if starved and company and held > 2 * S else 6) // 10
        if 10 * agent.health < 3 * full:
            attack //= 2
        elif 10 * agent.health > 8 * full and held > enough:
            attack = attack * 3 // 2
        fertile = 2 * held > 3 * enough and 10 * agent.health > 8 * full
        reproduce = reproduce * (14 if fertile else 3) // 10
        if 10 * self._living() > 7 * self.made.population.maximum:
            reproduce //= 2
        return [move, gather, share, attack, reproduce]

    def _chosen(self, weights: list[int], drawn: int) -> str:
        point = below(drawn, sum(weights))
        for action, weight in zip(ACTIONS, weights, strict=True):
            if point < weight:
                return action
            point -= weight
        return ACTIONS[0]

    def _others(self, place: int, agent: One) -> list[int]:
        near = self._near(agent.x, agent.y, unit(self.made.agent.social_range))
        return [each for each in near if each != place]

    # The five actions

    def _turn(self, place: int, agent: One) -> Acted:
        action, choice = agent.plan
        match action:
            case "move":
                return self._go(agent, *WAYS[choice])
            case "gather":
                return self._take(agent, choice)
            case "share":
                return self._give(place, agent, choice)
            case "attack" if choice == 4:
                agent.defending = True
                return "done", -1, 0, 0, 0
            case "attack":
                return self._strike(place, agent, *WAYS[choice])
            case _:
                return self._multiply(agent, choice)

    def _go(self, agent: One, dx: int, dy: int) -> Acted:
        length = unit(self.made.agent.maximum_movement)
        x = min(max(agent.x + dx * length, 0), unit(self.made.world.width))
        y = min(max(agent.y + dy * length, 0), unit(self.made.world.height))
        filled = np.flatnonzero(self.amounts > 0)
        reward = -3_000
        if filled.size:
            now = self._distances(x, y)[filled]
            was = self._distances(agent.x, agent.y)[filled]
            if now.min() < was[now.argmin()]:
                reward = 2_000
        moved = abs(x - agent.x) + abs(y - agent.y)
        agent.x, agent.y = x, y
        return "done", -1, reward, 0, moved

    def _take(self, agent: One, choice: int) -> Acted:
        assert isinstance(agent, Descendant)
        agent.waited += choice == 1
        if choice == 2 or (choice == 1 and agent.waited <= WAITS):
            return "waited", -1, 0, 0, 0
        agent.waited = 0
        judged_as = replace(agent, kind=self.last_born)
        node = self._best_node(judged_as)
        if node < 0:
            return "no_target", -1, 0, 0, 0
        most = unit(self.made.agent.maximum_gather)
        taken = min(int(self.amounts[node]), most)
        self.amounts[node] -= taken
        agent.resources += taken
        self.ledger["gathered"] += taken
        efficiency = getattr(self.made.types, KINDS[self.last_born]).gather_efficiency
        reward = taken // 2 + taken * unit(efficiency) // most
        return "done", node, reward, 0, taken

    def _give(self, place: int, agent: One, choice: int) -> Acted:
        if not choice:
            return "waited", -1, 0, 0, 0
        key = self._drawn(agent, 5)

        def rank(other: int) -> int:
            one = self.here[other]
            turns = 2 if one.resources < 0 else 1
            return max(deal(key, 4 * one.uid + turn) for turn in range(turns))

        candidates = self._others(place, agent)
        if not candidates:
            return "no_target", -1, 0, -1_000, 0
        other = self.here[max(candidates, key=rank)]
        amount = min(choice * S, agent.resources - unit(self.made.sharing.minimum_kept))
        if other.dead:
            return "target_gone", other.uid, 0, -1_000, 0
        if amount <= 0:
            return "too_little", other.uid, 0, -1_000, 0
        tenths = 5 if other.resources < 0 else 3
        agent.resources -= amount
        other.resources += amount
        self.totals["shared"] += amount
        return "done", other.uid, amount * tenths // 10, 0, amount

    def _strike(self, place: int, agent: One, dx: int, dy: int) -> Acted:
        combat, full = self.made.combat, unit(self.made.agent.starting_health)
        reach = unit(combat.attack_range)
        paid = max(agent.resources, 0) * unit(combat.attack_cost) // S
        agent.resources -= paid
        self.ledger["paid"] += paid
        self.totals["encounters"] += 1
        near = self._near(agent.x + dx * reach, agent.y + dy * reach, reach)
        target = self._anyone(place, near, self._drawn(agent, 5))
        if target < 0:
            return "no_target", -1, 0, 0, 0
        other = self.here[target]
        if other.dead:
            return "target_gone", other.uid, 0, 0, 0
        strength = unit(combat.base_attack_strength) * agent.health // full
        damage = strength * agent.resources // (100 * S)
        if other.defending or damage <= 0:
            return "missed", other.uid, 0, 0, 0
        self.totals["successes"] += 1
        self._incident(other, max(other.health - damage, 0), "combat", agent.uid)
        return "done", other.uid, 0, 0, damage

    def _multiply(self, agent: One, choice: int) -> Acted:
        if not choice:
            return "waited", -1, 0, 0, 0
        rules, alive = self.made.reproduction, self._living()
        cost, enough = unit(rules.offspring_cost), unit(rules.minimum_resources)
        full = unit(self.made.agent.starting_health)
        near = self._near(agent.x, agent.y, unit(rules.crowding_range))
        crowded = (len(near) - 1) * S > unit(rules.crowding_limit) * alive
        outcome = "done"
        if agent.resources < max(enough, cost + 2 * S):
            outcome = "too_little"
        elif agent.health * S < unit(rules.minimum_health) * full:
            outcome = "unhealthy"
        elif alive >= LARGEST:
            outcome = "population_full"
        elif crowded:
            outcome = "crowded"
        if outcome != "done":
            row = (self.step, agent.uid, outcome, agent.resources, agent.health)
            self.rows["refusals"].append(row)
            return outcome, -1, 0, 0, 0
        agent.resources -= cost
        self.ledger["spent"] += cost
        child = self._bear(agent)
        reward = S + (S // 2 if agent.resources > enough else 0)
        most = self.made.population.maximum
        if 4 * most <= 10 * alive <= 8 * most:
            reward += 3_000
        return "done", child.uid, reward, 0, 0

    def _bear(self, agent: One) -> One:
        self.last_born = agent.kind
        return self._add(
            agent.kind,
            agent.x,
            agent.y,
            unit(self.made.reproduction.offspring_initial_resources),
            agent.generation + 1,
            self._first_genes(KINDS[agent.kind]),
            (agent.uid, -1),
        )

    def _grow(self) -> None:
        resources = self.made.resources
        chance = unit(resources.regeneration_probability)
        gain = unit(resources.regeneration_amount)
        for node in range(resources.nodes):
            if below(bits(self.seed, self.step, node, 64), S) < chance:
                self.amounts[node] += gain
                self.ledger["regenerated"] += gain
