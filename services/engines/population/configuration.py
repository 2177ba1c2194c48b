"""What a population is like before its first step, checked before anything is built.

Amounts, lengths and shares count to four decimals: the engine calculates in whole
numbers of 1/10,000, so that a run gives the same bytes on any machine.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from events.errors import Malformed, Refused
from events.experiments.common import Tree
from events.experiments.vocabulary import KINDS


RuleSet = Literal["farm-1", "agentfarm-2025-07"]
LARGEST: Final = 250_000  # agents or resource nodes
MEETINGS: Final = 500_000_000  # pairs in range that one step may look at

Amount = Annotated[float, Meta(ge=0, le=100_000)]
Length = Annotated[float, Meta(ge=0, le=100_000)]
Side = Annotated[float, Meta(ge=1, le=100_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=0, le=1_000)]
Divisor = Annotated[float, Meta(ge=1, le=1_000)]
Count = Annotated[int, Meta(ge=0, le=LARGEST)]
Steps = Annotated[int, Meta(ge=1, le=1_000_000)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One group of parameters."""


class World(Part, frozen=True, kw_only=True):
    """A plane from (0, 0) to (width, height), with borders."""

    width: Side = 100.0
    height: Side = 100.0


class Population(Part, frozen=True, kw_only=True):
    """How many agents of each type begin, and how many there may be."""

    system: Count = 10
    independent: Count = 10
    control: Count = 10
    maximum: Annotated[int, Meta(ge=1, le=LARGEST)] = 300
    initial_resources: Amount = 5.0


class Resources(Part, frozen=True, kw_only=True):
    """The nodes, what lies there, and how it grows again."""

    nodes: Count = 20
    initial_minimum: Amount = 3.0
    initial_maximum: Amount = 8.0
    maximum_amount: Amount = 30.0
    regeneration_probability: Share = 0.1
    regeneration_amount: Amount = 2.0


class Agent(Part, frozen=True, kw_only=True):
    """What every agent needs and is able to do; no `maximum_age`: it dies of others."""

    base_consumption: Amount = 0.15
    maximum_movement: Length = 8.0
    gathering_range: Length = 30.0
    maximum_gather: Amount = 3.0
    social_range: Length = 30.0
    starting_health: Annotated[float, Meta(ge=0.01, le=100_000)] = 100.0
    maximum_starvation_time: Steps = 15
    maximum_age: Steps | None = None


class Reproduction(Part, frozen=True, kw_only=True):
    """What a parent needs and pays, and what its child begins with."""

    minimum_resources: Amount = 8.0
    offspring_cost: Amount = 3.0
    offspring_initial_resources: Amount = 5.0
    minimum_health: Share = 0.5
    crowding_range: Length = 20.0
    crowding_limit: Share = 0.7


class Combat(Part, frozen=True, kw_only=True):
    """What an attack costs and does; a defender's damage is divided by the boost."""

    attack_range: Length = 20.0
    base_attack_strength: Amount = 2.0
    attack_cost: Share = 0.2
    defense_boost: Divisor = 2.0
    healing: Amount = 1.0
    damage_reward: Factor = 0.1
    kill_reward: Amount = 5.0


class Sharing(Part, frozen=True, kw_only=True):
    """What a giver keeps, and how long others remember that it gave."""

    minimum_kept: Amount = 1.0
    memory: Steps = 100
    failure_penalty: Amount = 0.1


class Network(Part, frozen=True, kw_only=True):
    """The networks of mode `dqn`, one per module: two hidden layers of equal width.

    Once a module has a `batch` of experiences, every step trains it `updates` times, by
    Adam on Huber's loss; its target network follows by `target_rate`. `memory` is how
    many of its last experiences a module keeps, `learning_rate` that of Adam.
    """

    hidden: Annotated[int, Meta(ge=1, le=64)] = 24
    memory: Annotated[int, Meta(ge=1, le=20_000)] = 2_000
    batch: Annotated[int, Meta(ge=1, le=256)] = 32
    updates: Annotated[int, Meta(ge=1, le=16)] = 1
    learning_rate: Annotated[float, Meta(ge=0, le=0.1)] = 0.001
    target_rate: Share = 0.005
    huber_delta: Annotated[float, Meta(ge=0.001, le=1_000)] = 1.0
    beta_1: Annotated[float, Meta(ge=0, le=0.999)] = 0.9
    beta_2: Annotated[float, Meta(ge=0, le=0.999_999)] = 0.999
    adam_epsilon: Annotated[float, Meta(ge=1e-8, le=1)] = 1e-8


class Learning(Part, frozen=True, kw_only=True):
    """How modules learn: not at all, each agent in tables, or all agents in networks.

    `off` leaves every choice to chance. In mode `tables` every agent learns by its own
    genes, which begin with the rates given here, and its epsilon decays as it learns.
    In mode `dqn` the population shares the `network` of each module; discount and
    epsilon are these, epsilon decays per module as it trains, and the genes of learning
    have no effect.
    """

    mode: Literal["off", "tables", "dqn"] = "tables"
    learning_rate: Share = 0.1
    discount: Share = 0.95
    epsilon: Share = 1.0
    epsilon_minimum: Share = 0.01
    epsilon_decay: Share = 0.995
    inherited: bool = False
    network: Network = Network()


class Genome(Part, frozen=True, kw_only=True):
    """How children come to differ from their parents."""

    mutation_rate: Share = 0.1
    mutation_range: Share = 0.2
    crossover_rate: Share = 0.0


class Weights(Part, frozen=True, kw_only=True):
    """How inclined a type is to each action, before anything is learned."""

    move: Factor = 0.25
    gather: Factor = 0.25
    share: Factor = 0.15
    attack: Factor = 0.1
    reproduce: Factor = 0.25


class Kind(Part, frozen=True, kw_only=True):
    """What makes a type of agents: inclinations, and how it judges resource nodes."""

    weights: Weights = Weights()
    gather_efficiency: Factor = 0.55
    gather_distance_cost: Factor = 0.3
    gather_minimum: Amount = 0.125


class Kinds(Part, frozen=True, kw_only=True):
    """The three types."""

    system: Kind = Kind(
        weights=Weights(share=0.2, attack=0.05),
        gather_efficiency=0.4,
        gather_distance_cost=0.4,
        gather_minimum=0.2,
    )
    independent: Kind = Kind(
        weights=Weights(share=0.05, attack=0.2),
        gather_efficiency=0.7,
        gather_distance_cost=0.2,
        gather_minimum=0.05,
    )
    control: Kind = Kind()


class Configuration(Part, frozen=True, kw_only=True):
    """Everything that a run follows from, with its seed.

    Lengths in units of the plane, amounts in units of resource, times in steps.
    """

    ruleset: RuleSet = "farm-1"
    world: World = World()
    population: Population = Population()
    resources: Resources = Resources()
    agent: Agent = Agent()
    reproduction: Reproduction = Reproduction()
    combat: Combat = Combat()
    sharing: Sharing = Sharing()
    learning: Learning = Learning()
    genome: Genome = Genome()
    types: Kinds = Kinds()


class ConfigurationRefused(Refused):
    """The configuration contradicts itself or is past a limit."""


P = TypeVar("P")

FIXED_AT_START: Final = (
    "ruleset",
    "world",
    "resources.nodes",
    "resources.initial_minimum",
    "resources.initial_maximum",
    "population.system",
    "population.independent",
    "population.control",
    "population.initial_resources",
    "learning.mode",
    "learning.network.hidden",
    "learning.network.memory",
)


def configuration(given: Mapping[str, object]) -> Configuration:
    """Return a checked configuration, or raise with the field's path and the limit."""
    return checked(_converted(given))


def checked(made: Configuration, at: str = "$") -> Configuration:
    """Return a configuration that does not contradict itself, or raise."""
    for path, problem in problems(made):
        raise ConfigurationRefused(problem, path=f"{at}.{path}")
    return made


def tree(made: Configuration) -> Tree:
    """Return a configuration as JSON has it; networks only where they matter."""
    told: Tree = msgspec.to_builtins(made)
    if made.learning.mode != "dqn" and made.learning.network == Network():
        del told["learning"]["network"]
    return told


def overridden(base: Configuration, overrides: Mapping[str, object]) -> Configuration:
    """Return a configuration with some parameters changed, named `group.field`."""
    changed = msgspec.to_builtins(base)
    for path, value in overrides.items():
        group, last = _place(changed, path)
        group[last] = value
    return configuration(changed)


def check_paths(overrides: Mapping[str, object]) -> None:
    """Raise where a path names no parameter."""
    known = msgspec.to_builtins(Configuration())
    for path in overrides:
        _place(known, path)


def _place(changed: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *groups, last = path.split(".")
    group: Any = changed
    for name in groups:
        group = group.get(name) if isinstance(group, dict) else None
    if not isinstance(group, dict) or last not in group:
        message = "There is no such parameter."
        raise ConfigurationRefused(message, path=f"$.{path}")
    return group, last


def branched(base: Configuration, overrides: Mapping[str, object]) -> Configuration:
    """Return a configuration changed in the middle of a run, or raise."""
    made = overridden(base, overrides)
    for path in FIXED_AT_START:
        if _at(base, path) != _at(made, path):
            message = "It is fixed when a run begins."
            raise ConfigurationRefused(message, path=f"$.{path}")
    return made


def problems(made: Configuration) -> Iterator[tuple[str, str]]:
    """Yield the path and the limit of everything that is wrong."""
    yield from _not_finite(made, "")
    yield from _too_many(made)
    yield from _contradictions(made)


def _converted(given: Mapping[str, object]) -> Configuration:
    try:
        return msgspec.convert(given, Configuration)
    except msgspec.ValidationError as error:
        told, _, path = f"{error}".partition(" - at `")
        message = f"{told}."
        raise ConfigurationRefused(message, path=path.rstrip("`") or "$") from error
    except (OverflowError, RecursionError) as error:
        raise Malformed(str(error), path="$") from error


def _not_finite(part: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from _not_finite(getattr(part, name), f"{path}.{name}".lstrip("."))
    elif isinstance(part, float) and not math.isfinite(part):
        yield path, "It has to be a finite number."


def _too_many(made: Configuration) -> Iterator[tuple[str, str]]:
    population, world = made.population, made.world
    begin = population.system + population.independent + population.control
    if begin < 1:
        yield "population", "It takes at least 1 agent."
    if begin > population.maximum:
        yield (
            "population.maximum",
            f"It has to be at least {begin}, the agents that begin.",
        )
    agent, combat = made.agent, made.combat
    reach = max(
        agent.social_range, 2 * combat.attack_range, made.reproduction.crowding_range
    )
    met = min(1.0, math.pi * reach**2 / (world.width * world.height))
    if population.maximum * population.maximum * met > MEETINGS:
        yield (
            "population.maximum",
            f"So many agents in so small a world are over {MEETINGS} pairs in range.",
        )
    near = min(1.0, math.pi * agent.gathering_range**2 / (world.width * world.height))
    if population.maximum * made.resources.nodes * near > MEETINGS:
        yield (
            "resources.nodes",
            f"So many nodes in so small a world are over {MEETINGS} pairs in range.",
        )


def _contradictions(made: Configuration) -> Iterator[tuple[str, str]]:
    resources, reproduction = made.resources, made.reproduction
    if resources.initial_minimum > resources.initial_maximum:
        yield (
            "resources.initial_minimum",
            f"It has to be at most initial_maximum, {resources.initial_maximum}.",
        )
    if resources.initial_maximum > resources.maximum_amount:
        yield (
            "resources.initial_maximum",
            f"It has to be at most maximum_amount, {resources.maximum_amount}.",
        )
    if reproduction.offspring_cost > reproduction.minimum_resources:
        yield (
            "reproduction.offspring_cost",
            f"It has to be at most {reproduction.minimum_resources}, the minimum.",
        )
    yield from _contradictions_of_learning(made)
    for name in KINDS:
        weights = getattr(made.types, name).weights
        if sum(msgspec.structs.astuple(weights)) * 1_000 < 1:
            yield f"types.{name}.weights", "Their sum has to be at least 0.001."


def _contradictions_of_learning(made: Configuration) -> Iterator[tuple[str, str]]:
    learning, network = made.learning, made.learning.network
    if learning.epsilon_minimum > learning.epsilon:
        yield (
            "learning.epsilon_minimum",
            f"It has to be at most epsilon, {learning.epsilon}.",
        )
    if network.batch > network.memory:
        yield (
            "learning.network.batch",
            f"It has to be at most memory, {network.memory}.",
        )
    if learning.mode == "dqn" and made.ruleset != "farm-1":
        yield "learning.mode", "Networks learn by the rule set farm-1 only."
    if learning.mode == "dqn" and learning.inherited:
        yield (
            "learning.inherited",
            "Nobody inherits networks that all agents share.",
        )


def _at(made: Configuration, path: str) -> object:
    value: object = made
    for name in path.split("."):
        value = getattr(value, name)
    return value
