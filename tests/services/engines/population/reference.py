"""The rules of `farm-1` a second time, slow and plain, with numpy over whole columns.

Nothing of the engine is called here but its configuration: what both give has to be
the same to the last bit.
"""

from dataclasses import dataclass, field
from math import isqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from events.experiments.vocabulary import KINDS
from services.engines.population.configuration import Configuration


S: Final = 10_000
FINE: Final = 1_000_000
MASK: Final = (1 << 64) - 1
ODD: Final = 0x9E3779B97F4A7C15
ACTIONS: Final = ("move", "gather", "share", "attack", "reproduce")
CHOICES: Final = {"move": 4, "gather": 3, "share": 4, "attack": 5, "reproduce": 2}
OUTCOMES: Final = (
    "done",
    "waited",
    "no_target",
    "target_gone",
    "exhausted",
    "too_little",
    "unhealthy",
    "crowded",
    "population_full",
    "missed",
)


def mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def bits(seed: int, step: int, who: int, purpose: int) -> int:
    at = mix((mix((seed + ODD) & MASK) + step * ODD) & MASK)
    return deal(mix((at + (who + 1) * ODD) & MASK), purpose)


def deal(key: int, purpose: int) -> int:
    return mix((key + purpose * ODD) & MASK)


def below(drawn: int, limit: int) -> int:
    return ((drawn >> 32) * limit) >> 32


def unit(value: float) -> int:
    return round(value * S)


@dataclass
class One:
    """An agent."""

    uid: int
    kind: int
    x: int
    y: int
    resources: int
    health: int
    birth: int
    generation: int
    genes: list[int]
    epsilon: int
    reward: int = 0
    starving: int = 0
    given: int = 0
    defending: bool = False
    dead: str = ""
    gained: int = 0
    last: tuple[int, str, int, int] | None = None
    select: dict[tuple[int, int], int] = field(default_factory=dict)
    within: dict[tuple[str, int, int], int] = field(default_factory=dict)
    plan: tuple[str, int] = ("", 0)
    target: int = -1
    mate: "One | None" = None
    crowded: bool = False

    @property
    def genome(self) -> int:
        digest = mix((self.kind + 1) * ODD & MASK)
        for gene in self.genes:
            digest = mix(digest ^ ((gene + 1) * ODD & MASK))
        return max(digest, 1)


class Reference:
    """A run of `farm-1`."""

    person = One
    owner = ""  # of modules that agents share

    def __init__(self, configuration: Configuration, seed: int) -> None:
        self.made = configuration
        self.seed = seed
        self.step = 0
        self.rows: dict[str, list[tuple[Any, ...]]] = {
            name: []
            for name in (
                "steps",
                "states",
                "nodes",
                "actions",
                "lessons",
                "incidents",
                "births",
                "deaths",
                "refusals",
            )
        }
        self.ledger = dict.fromkeys(
            ("gathered", "regenerated", "consumed", "paid", "spent", "endowed", "lost"),
            0,
        )
        self.totals = {"encounters": 0, "successes": 0, "shared": 0}
        self.born = self.died = self.before = self.numbers = 0
        self.agents: list[One] = []
        self._place_nodes()
        self._place_agents()
        self._write()

    # The beginning

    def _place_nodes(self) -> None:
        world, resources = self.made.world, self.made.resources
        least, most = unit(resources.initial_minimum), unit(resources.initial_maximum)
        places, amounts = [], []
        for node in range(resources.nodes):
            x = below(bits(self.seed, 0, node, 65), unit(world.width) + 1)
            y = below(bits(self.seed, 0, node, 66), unit(world.height) + 1)
            places.append((x, y))
            amounts.append(
                least + below(bits(self.seed, 0, node, 67), most - least + 1)
            )
        self.places: npt.NDArray[np.int64] = np.array(places, dtype=np.int64)
        self.places = self.places.reshape(-1, 2)
        self.amounts: npt.NDArray[np.int64] = np.array(amounts, dtype=np.int64)

    def _place_agents(self) -> None:
        world, population = self.made.world, self.made.population
        for kind, name in enumerate(KINDS):
            for _ in range(getattr(population, name)):
                uid = self.numbers
                x = below(bits(self.seed, 0, uid, 8), unit(world.width) + 1)
                y = below(bits(self.seed, 0, uid, 9), unit(world.height) + 1)
                held = unit(population.initial_resources)
                self._add(kind, x, y, held, 0, self._first_genes(name), (-1, -1))

    def _first_genes(self, name: str) -> list[int]:
        weights = getattr(self.made.types, name).weights
        given = [getattr(weights, action) for action in ACTIONS]
        shares = [round(weight / sum(given) * FINE) for weight in given[:4]]
        learning = self.made.learning
        rates = (learning.learning_rate, learning.discount, learning.epsilon_decay)
        return [*shares, FINE - sum(shares), *(round(rate * FINE) for rate in rates)]

    def _add(  # noqa: PLR0917 - a row
        self,
        kind: int,
        x: int,
        y: int,
        held: int,
        generation: int,
        genes: list[int],
        parents: tuple[int, int],
    ) -> One:
        made = self.person(
            uid=self.numbers,
            kind=kind,
            x=x,
            y=y,
            resources=held,
            health=unit(self.made.agent.starting_health),
            birth=self.step,
            generation=generation,
            genes=genes,
            epsilon=round(self.made.learning.epsilon * FINE),
        )
        self.numbers += 1
        self.born += 1
        self.ledger["endowed"] += held
        self.agents.append(made)
        self.rows["births"].append(
            (
                made.uid,
                self.step,
                kind,
                x,
                y,
                held,
                made.health,
                generation,
                *parents,
                made.genome,
                *genes,
            )
        )
        return made

    # A step

    def advance(self) -> None:
        self.step += 1
        for agent in self.agents:
            self._keep_up(agent)
        self.agents = [agent for agent in self.agents if not agent.dead]
        self.alive = np.array([(one.x, one.y) for one in self.agents], dtype=np.int64)
        self.alive = self.alive.reshape(-1, 2)
        self.here = list(self.agents)
        self._consider()
        for place, agent in enumerate(self.here):
            self._decide(place, agent)
        for agent in self.here:
            if agent.plan == ("attack", 4):
                self._defend(agent)
        for agent in self.here:
            if not agent.dead:
                self._act(agent)
        self.agents = [agent for agent in self.agents if not agent.dead]
        self._grow()
        self._write()

    def _keep_up(self, agent: One) -> None:
        consumed = min(agent.resources, unit(self.made.agent.base_consumption))
        agent.defending = False
        agent.resources -= consumed
        self.ledger["consumed"] += consumed
        agent.starving = 0 if agent.resources else agent.starving + 1
        oldest = self.made.agent.maximum_age
        if agent.starving >= self.made.agent.maximum_starvation_time:
            agent.dead = "starvation"
        elif oldest is not None and self.step - agent.birth >= oldest:
            agent.dead = "age"
        if agent.dead:
            self._incident(agent, 0, agent.dead, -1)
            self._perish(agent, -1)

    def _perish(self, agent: One, killer: int) -> None:
        self.rows["deaths"].append((agent.uid, self.step, agent.dead, killer))
        self.ledger["lost"] += agent.resources
        self.died += 1

    def _incident(self, agent: One, health: int, cause: str, other: int) -> None:
        self.rows["incidents"].append(
            (self.step, agent.uid, agent.health, health, cause, other)
        )
        agent.health = health

    # Decisions

    def _consider(self) -> None:
        """Do what comes before all decisions: nothing."""

    def _near(self, x: int, y: int, reach: int) -> list[int]:
        square = (self.alive[:, 0] - x) ** 2 + (self.alive[:, 1] - y) ** 2
        return [int(place) for place in np.flatnonzero(square <= reach**2)]

    def _distances(self, x: int, y: int) -> npt.NDArray[np.int64]:
        squares: npt.NDArray[np.int64] = (self.places[:, 0] - x) ** 2 + (
            self.places[:, 1] - y
        ) ** 2
        return squares

    def _decide(self, place: int, agent: One) -> None:
        learning = self.made.learning.mode == "tables"
        reach = unit(self.made.agent.social_range)
        company = self._near(agent.x, agent.y, reach) != [place]
        within_reach = self._distances(agent.x, agent.y) <= (
            unit(self.made.agent.gathering_range) ** 2
        )
        food = bool((within_reach & (self.amounts > 0)).any())
        rich, fit = self._plenty(agent), self._fitness(agent)
        weights = self._weights(agent, rich, fit, food=food, company=company)
        state = ((rich * 3 + fit) * 2 + food) * 2 + company
        narrow = rich * 2 + company

        def drawn(purpose: int) -> int:
            return bits(self.seed, self.step, agent.uid, purpose)

        if learning:
            self._learn(agent, state, narrow)
            if below(drawn(1), FINE) >= agent.epsilon:
                weights = self._mixed(agent, state, weights)
        point = below(drawn(2), sum(weights))
        chosen = int(np.searchsorted(np.cumsum(weights), point, side="right"))
        action = ACTIONS[chosen] if sum(weights) else "move"
        chosen = ACTIONS.index(action)
        choice = below(drawn(4), CHOICES[action])
        if learning and below(drawn(3), FINE) >= agent.epsilon:
            worth = [
                agent.within.get((action, narrow, each), 0)
                for each in range(CHOICES[action])
            ]
            choice = worth.index(max(worth))
        agent.last = (state, action, narrow, choice) if learning else None
        agent.plan = (action, choice)
        self._seek(place, agent, action, choice)

    def _plenty(self, agent: One) -> int:
        enough = unit(self.made.reproduction.minimum_resources)
        if not agent.resources:
            return 0
        if agent.resources < enough:
            return 1
        return 2 if agent.resources * 2 <= enough * 3 else 3

    def _fitness(self, agent: One) -> int:
        full = unit(self.made.agent.starting_health)
        if agent.health * 10 < full * 3:
            return 0
        return 2 if agent.health * 10 > full * 8 else 1

    def _weights(
        self, agent: One, rich: int, fit: int, *, food: bool, company: bool
    ) -> list[int]:
        move, gather, share, attack, reproduce = agent.genes[:5]
        if not food:
            move = move * 3 // 2
        if food and rich < 2:
            gather = gather * 3 // 2
        share = share * 13 // 10 if company and rich > 1 else share // 2
        desperate = agent.starving * 2 > self.made.agent.maximum_starvation_time
        attack = attack * (14 if company and desperate else 6) // 10
        if fit == 0:
            attack //= 2
        if fit == 2 and rich > 1:
            attack = attack * 3 // 2
        reproduce = reproduce * (14 if fit == 2 and rich == 3 else 3) // 10
        if len(self.here) / self.made.population.maximum > 0.7:
            reproduce //= 2
        return [move, gather, share, attack, reproduce]

    def _learn(self, agent: One, state: int, narrow: int) -> None:
        if agent.last is None:
            return
        was, action, where, choice = agent.last
        best = max(agent.select.get((state, each), 0) for each in range(5))
        key = (was, ACTIONS.index(action))
        agent.select[key] = self._moved(agent, agent.select.get(key, 0), best)
        best = max(
            agent.within.get((action, narrow, each), 0)
            for each in range(CHOICES[action])
        )
        place = (action, where, choice)
        agent.within[place] = self._moved(agent, agent.within.get(place, 0), best)
        least = round(self.made.learning.epsilon_minimum * FINE)
        agent.epsilon = max(agent.epsilon * agent.genes[7] // FINE, least)

    def _moved(self, agent: One, value: int, best: int) -> int:
        goal = agent.gained * 100 + agent.genes[6] * best // FINE
        return value + agent.genes[5] * (goal - value) // FINE

    def _mixed(self, agent: One, state: int, weights: list[int]) -> list[int]:
        worth = [agent.select.get((state, each), 0) for each in range(5)]
        low, span, whole = min(worth), max(worth) - min(worth), sum(weights)
        return [
            7 * (weight * FINE // whole if whole else 0)
            + 3 * ((value - low) * FINE // span if span else 0)
            for weight, value in zip(weights, worth, strict=True)
        ]

    def _seek(self, place: int, agent: One, action: str, choice: int) -> None:
        agent.target, agent.mate = -1, None
        key = mix(
            (
                mix((mix((self.seed + ODD) & MASK) + self.step * ODD) & MASK)
                + (agent.uid + 1) * ODD
            )
            & MASK
        )
        if action == "gather" and choice == 0:
            agent.target = self._best_node(agent)
        elif action == "share" and choice:
            agent.target = self._receiver(place, agent, deal(key, 5))
        elif action == "attack" and choice < 4:
            reach = unit(self.made.combat.attack_range)
            dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[choice]
            near = self._near(agent.x + dx * reach, agent.y + dy * reach, reach)
            agent.target = self._anyone(place, near, deal(key, 5))
        elif action == "reproduce" and choice:
            reproduction = self.made.reproduction
            near = self._near(agent.x, agent.y, unit(reproduction.crowding_range))
            limit = unit(reproduction.crowding_limit) * len(self.here)
            agent.crowded = (len(near) - 1) * S > limit
            if below(deal(key, 6), S) < unit(self.made.genome.crossover_rate):
                near = self._near(agent.x, agent.y, unit(self.made.agent.social_range))
                kin = [each for each in near if self.here[each].kind == agent.kind]
                mate = self._anyone(place, kin, deal(key, 7))
                agent.mate = self.here[mate] if mate >= 0 else None

    def _anyone(self, me: int, near: list[int], key: int) -> int:
        others = [place for place in near if place != me]

        def rank(place: int) -> int:
            return mix(key ^ ((self.here[place].uid + 1) * ODD & MASK))

        return max(others, key=rank, default=-1)

    def _receiver(self, me: int, agent: One, key: int) -> int:
        near = self._near(agent.x, agent.y, unit(self.made.agent.social_range))
        kept = unit(self.made.sharing.minimum_kept)

        def rank(place: int) -> int:
            other = self.here[place]
            weight = 2 if other.resources < kept else 1
            if other.given and self.step - other.given <= self.made.sharing.memory:
                weight *= 2
            return max(deal(key, other.uid * 4 + each) for each in range(weight))

        return max((place for place in near if place != me), key=rank, default=-1)

    def _best_node(self, agent: One) -> int:
        kind = getattr(self.made.types, KINDS[agent.kind])
        squares = self._distances(agent.x, agent.y)
        reach = unit(self.made.agent.gathering_range)
        best: tuple[int, int] | None = None
        for node, square in enumerate(squares):
            amount = int(self.amounts[node])
            if square > reach**2 or amount < max(unit(kind.gather_minimum), 1):
                continue
            worth = amount * unit(kind.gather_efficiency)
            worth -= isqrt(int(square)) * unit(kind.gather_distance_cost)
            if best is None or worth > best[0]:
                best = (worth, node)
        return -1 if best is None else best[1]

    # Effects

    def _defend(self, agent: One) -> None:
        agent.defending = True
        full = unit(self.made.agent.starting_health)
        after = min(agent.health + unit(self.made.combat.healing), full)
        if after > agent.health:
            self._incident(agent, after, "healing", -1)

    def _act(self, agent: One) -> None:
        action, choice = agent.plan
        before = agent.resources
        outcome, target, reward, amount = getattr(self, f"_{action}")(agent, choice)
        agent.reward += reward
        agent.gained = reward
        shown = "defend" if agent.plan == ("attack", 4) else action
        row = (shown, choice, outcome, target, before, agent.resources, reward, amount)
        self.rows["actions"].append((self.step, agent.uid, *row))
        if agent.last is not None:
            chosen = ACTIONS.index(action)
            for module, made in (("select", chosen), (action, choice)):
                whose = f"{self.owner}{module}"
                row = (self.step, agent.uid, whose, made, reward)  # type: ignore[assignment]
                self.rows["lessons"].append(row)

    def _move(self, agent: One, choice: int) -> tuple[str, int, int, int]:
        length = unit(self.made.agent.maximum_movement)
        dx, dy = ((1, 0), (-1, 0), (0, 1), (0, -1))[choice]
        x = min(max(agent.x + dx * length, 0), unit(self.made.world.width))
        y = min(max(agent.y + dy * length, 0), unit(self.made.world.height))
        now = np.where(self.amounts > 0, self._distances(x, y), np.iinfo(np.int64).max)
        reward = -3000
        if now.size:
            nearest = int(now.argmin())
            if now[nearest] <= unit(self.made.agent.gathering_range) ** 2:
                was = self._distances(agent.x, agent.y)[nearest]
                reward = 2000 if now[nearest] < was else -3000
        moved = abs(x - agent.x) + abs(y - agent.y)
        agent.x, agent.y = x, y
        return "done", -1, reward, moved

    def _gather(self, agent: One, choice: int) -> tuple[str, int, int, int]:
        if choice:
            return "waited", -1, 0, 0
        if agent.target < 0:
            return "no_target", -1, 0, 0
        most = unit(self.made.agent.maximum_gather)
        taken = min(int(self.amounts[agent.target]), most)
        if not taken:
            return "exhausted", agent.target, 0, 0
        self.amounts[agent.target] -= taken
        agent.resources += taken
        self.ledger["gathered"] += taken
        kind = getattr(self.made.types, KINDS[agent.kind])
        reward = taken // 2 + taken * unit(kind.gather_efficiency) // most
        return "done", agent.target, reward, taken

    def _share(self, agent: One, choice: int) -> tuple[str, int, int, int]:
        penalty = -unit(self.made.sharing.failure_penalty)
        if not choice:
            return "waited", -1, 0, 0
        if agent.target < 0:
            return "no_target", -1, penalty, 0
        other = self.here[agent.target]
        if other.dead:
            return "target_gone", other.uid, penalty, 0
        kept = unit(self.made.sharing.minimum_kept)
        amount = min(choice * S, agent.resources - kept)
        if amount <= 0:
            return "too_little", other.uid, penalty, 0
        tenths = 5 if other.resources < kept else 3
        agent.resources -= amount
        other.resources += amount
        agent.given = self.step
        self.totals["shared"] += amount
        return "done", other.uid, amount * tenths // 10, amount

    def _attack(self, agent: One, choice: int) -> tuple[str, int, int, int]:
        penalty = -unit(self.made.sharing.failure_penalty)
        combat, full = self.made.combat, unit(self.made.agent.starting_health)
        if choice == 4:
            return "done", -1, 0, 0
        if agent.target < 0:
            return "no_target", -1, penalty, 0
        other = self.here[agent.target]
        if other.dead:
            return "target_gone", other.uid, penalty, 0
        paid = agent.resources * unit(combat.attack_cost) // S
        agent.resources -= paid
        self.ledger["paid"] += paid
        self.totals["encounters"] += 1
        damage = unit(combat.base_attack_strength) * agent.health // full
        if other.defending:
            damage = damage * S // unit(combat.defense_boost)
        if not damage:
            return "missed", other.uid, penalty, 0
        self.totals["successes"] += 1
        self._incident(other, max(other.health - damage, 0), "combat", agent.uid)
        reward = damage * unit(combat.damage_reward) // S
        if not other.health:
            other.dead = "combat"
            self._perish(other, agent.uid)
            reward += unit(combat.kill_reward)
        return "done", other.uid, reward, damage

    def _reproduce(self, agent: One, choice: int) -> tuple[str, int, int, int]:
        rules = self.made.reproduction
        alive = sum(not each.dead for each in self.agents)
        full = unit(self.made.agent.starting_health)
        if not choice:
            return "waited", -1, 0, 0
        outcome = "done"
        if agent.resources < unit(rules.minimum_resources):
            outcome = "too_little"
        elif agent.health * S < unit(rules.minimum_health) * full:
            outcome = "unhealthy"
        elif agent.crowded:
            outcome = "crowded"
        elif alive >= self.made.population.maximum:
            outcome = "population_full"
        if outcome != "done":
            row = (self.step, agent.uid, outcome, agent.resources, agent.health)
            self.rows["refusals"].append(row)
            return outcome, -1, 0, 0
        agent.resources -= unit(rules.offspring_cost)
        self.ledger["spent"] += unit(rules.offspring_cost)
        child = self._bear(agent)
        reward = S
        if agent.resources > unit(rules.minimum_resources):
            reward += S // 2
        most = self.made.population.maximum
        if 4 * most <= 10 * len(self.here) <= 8 * most:
            reward += 3000
        return "done", child.uid, reward, 0

    def _bear(self, agent: One) -> One:
        genes = list(agent.genes)
        rate = unit(self.made.genome.mutation_rate)
        spread = unit(self.made.genome.mutation_range)
        for gene in range(8):

            def drawn(purpose: int, limit: int, gene: int = gene) -> int:
                key = bits(self.seed, self.step, agent.uid, purpose + gene)
                return below(key, limit)

            if agent.mate is not None and drawn(16, 2):
                genes[gene] = agent.mate.genes[gene]
            if drawn(24, S) < rate:
                factor = S - spread + drawn(32, 2 * spread + 1)
                genes[gene] = min(genes[gene] * factor // S, FINE)
        whole = sum(genes[:5])
        if whole != FINE:
            even = [FINE // 5] * 4
            four = [gene * FINE // whole for gene in genes[:4]] if whole else even
            genes[:5] = [*four, FINE - sum(four)]
        child = self._add(
            agent.kind,
            agent.x,
            agent.y,
            unit(self.made.reproduction.offspring_initial_resources),
            agent.generation + 1,
            genes,
            (agent.uid, -1 if agent.mate is None else agent.mate.uid),
        )
        if self.made.learning.inherited:
            child.select = dict(agent.select)
            child.within = dict(agent.within)
        return child

    def _grow(self) -> None:
        resources = self.made.resources
        for node in range(resources.nodes):
            chance = below(bits(self.seed, self.step, node, 64), S)
            if chance < unit(resources.regeneration_probability):
                more = int(self.amounts[node]) + unit(resources.regeneration_amount)
                after = max(
                    min(more, unit(resources.maximum_amount)), int(self.amounts[node])
                )
                self.ledger["regenerated"] += after - int(self.amounts[node])
                self.amounts[node] = after

    # What is written down

    def _write(self) -> None:
        step, agents = self.step, self.agents
        self.rows["states"] += [
            (
                step,
                one.uid,
                one.x,
                one.y,
                one.resources,
                one.health,
                int(one.defending),
                one.reward,
                step - one.birth,
            )
            for one in agents
        ]
        self.rows["nodes"] += [
            (step, node, int(amount), *map(int, self.places[node]))
            for node, amount in enumerate(self.amounts)
        ]
        genomes = [one.genome for one in agents]
        total = int(self.amounts.sum())
        shares = self.amounts[self.amounts > 0] / max(total, 1)
        self.rows["steps"].append(
            (
                step,
                len(agents),
                *(sum(one.kind == kind for one in agents) for kind in range(3)),
                self.born,
                self.died,
                max((one.generation for one in agents), default=0),
                total,
                sum(one.resources for one in agents),
                sum(one.health for one in agents),
                sum(step - one.birth for one in agents),
                sum(one.reward for one in agents),
                *self.totals.values(),
                len(set(genomes)),
                max((genomes.count(each) for each in set(genomes)), default=0),
                float(-(shares * np.log(shares)).sum()),
                max(0, self.before - total),
                *self.ledger.values(),
            )
        )
        self.before = total
        self.born = self.died = 0
        self.ledger = dict.fromkeys(self.ledger, 0)
