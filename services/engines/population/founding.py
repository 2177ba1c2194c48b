"""The beginning of a run: who and what is where before the first step."""

from events.experiments.vocabulary import (
    SCALE,
)
from services.engines.population import chance
from services.engines.population.agentfarm import lineage
from services.engines.population.chance import below, draw, key_of
from services.engines.population.compiling import kernel
from services.engines.population.farm_1 import Field, settle
from services.engines.population.genomes import name
from services.engines.population.recording import record_birth


@kernel
def found(field: Field, overlaid: bool) -> None:
    """Place nodes and agents anywhere on the plane, each by its own draws.

    `overlaid` puts agent i where node i is drawn, and fills nodes by their place, as
    the compatible rule set's model does.
    """
    rules, nodes, agents = field.rules[0], field.nodes, field.agents
    counters = field.counters[0]
    start = chance.step_key(rules.seed, 0)
    for node in range(len(nodes)):
        key = key_of(start, node)
        x = below(draw(key, chance.NODE_X), rules.width + 1)
        y = below(draw(key, chance.NODE_Y), rules.height + 1)
        span = rules.initial_maximum - rules.initial_minimum
        if overlaid:
            more = ((x + y) // SCALE) % (span // SCALE + 1) * SCALE
        else:
            more = below(draw(key, chance.NODE_AMOUNT), span + 1)
        nodes[node].x = x
        nodes[node].y = y
        nodes[node].amount = rules.initial_minimum + more
    counters.step = 0
    for kind in range(3):
        count = rules.control
        if kind == 0:
            count = rules.system
        elif kind == 1:
            count = rules.independent
        for _ in range(count):
            counters.free -= 1
            slot = field.free[counters.free]
            for gene in range(8):
                field.genes[slot, gene] = field.first_genes[kind, gene]
            key = key_of(start, counters.alive)
            across = chance.NODE_X if overlaid else chance.PLACE_X
            along = chance.NODE_Y if overlaid else chance.PLACE_Y
            x = below(draw(key, across), rules.width + 1)
            y = below(draw(key, along), rules.height + 1)
            genome = name(field.genes, slot, kind)
            if overlaid:
                genome = lineage(kind, 0, 0)
            i = settle(field, kind, slot, x, y, genome)
            agents[i].resources = SCALE if overlaid else rules.initial_resources
            counters.endowed += agents[i].resources
            counters.last_kind = kind
            record_birth(
                agents, i, -1, -1, field.genes, counters, field.tables, field.rows[0]
            )
