"""Genomes: heritable inclinations, named by their content, counted as they live.

Equal genes of one type are one genome, wherever they arose. The table of counts is
open-addressed; entries whose count is 0 stay until it is made anew between calls.
"""

import numpy as np

from events.experiments.vocabulary import (
    FINE,
    SCALE,
)
from services.engines.population.chance import (
    CROSS,
    FACTOR,
    INHERIT,
    MUTATE,
    ODD,
    below,
    draw,
    mixed,
)
from services.engines.population.columns import (
    I4,
    U8,
    Counters,
    Integers,
    Records,
)
from services.engines.population.compiling import kernel, wide
from services.engines.population.rules import Rules


class Entry:
    """How many living agents have a genome; no name: a free entry."""

    name: U8
    count: I4


@kernel
def name(genes: Integers, slot: int, kind: int) -> np.uint64:
    """Return a genome's name: a hash of the type and the genes, never 0."""
    digest = mixed(np.uint64(kind + 1) * ODD)
    for gene in range(8):
        digest = mixed(digest ^ (np.uint64(genes[slot, gene] + 1) * ODD))
    return max(digest, np.uint64(1))


@kernel
def place(census: Records[Entry], genome: np.uint64) -> int:
    """Return where a genome is counted, or would be."""
    mask = len(census) - 1
    at = wide(genome & np.uint64(mask))
    while census[at].name != 0 and census[at].name != genome:
        at = (at + 1) & mask
    return at


@kernel
def arrive(
    census: Records[Entry],
    histogram: Integers,
    genome: np.uint64,
    counters: Counters,
) -> None:
    """Count one more agent with a genome."""
    at = place(census, genome)
    if census[at].name == 0:
        census[at].name = genome
        counters.entries += 1
    count = census[at].count
    if count == 0:
        counters.distinct += 1
    else:
        histogram[count] -= 1
    census[at].count = count + 1
    histogram[count + 1] += 1
    counters.dominant = max(counters.dominant, count + 1)


@kernel
def leave(
    census: Records[Entry],
    histogram: Integers,
    genome: np.uint64,
    counters: Counters,
) -> None:
    """Count one agent with a genome less."""
    at = place(census, genome)
    count = census[at].count
    census[at].count = count - 1
    histogram[count] -= 1
    if count == 1:
        counters.distinct -= 1
    else:
        histogram[count - 1] += 1
    if histogram[counters.dominant] == 0:
        counters.dominant -= 1


@kernel
def breed(
    genes: Integers, child: int, parent: int, mate: int, key: np.uint64, rules: Rules
) -> None:
    """Write the genes of a child: one parent's or both parents', some mutated.

    Each gene of two parents comes from either alike. Each changes with the mutation
    rate by a factor from 1 - range to 1 + range; the weights then sum to FINE again.
    """
    for gene in range(8):
        source = parent
        if mate >= 0 and below(draw(key, INHERIT + gene), 2) == 1:
            source = mate
        value = wide(genes[source, gene])
        if below(draw(key, MUTATE + gene), SCALE) < rules.mutation_rate:
            span = 2 * rules.mutation_range + 1
            factor = SCALE - rules.mutation_range
            factor += below(draw(key, FACTOR + gene), span)
            value = min(value * factor // SCALE, FINE)
        genes[child, gene] = value
    normalise(genes, child)


@kernel
def normalise(genes: Integers, slot: int) -> None:
    """Let five weights sum to FINE; what rounding leaves goes to the last."""
    whole = wide(0)
    for gene in range(5):
        whole += genes[slot, gene]
    if whole == FINE:
        return
    rest = FINE
    for gene in range(4):
        value = (wide(genes[slot, gene]) * FINE // whole) if whole > 0 else FINE // 5
        genes[slot, gene] = value
        rest -= value
    genes[slot, 4] = rest


@kernel
def crosses(key: np.uint64, rules: Rules) -> bool:
    """Say whether a child is to have two parents."""
    return below(draw(key, CROSS), SCALE) < rules.crossover_rate
