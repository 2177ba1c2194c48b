"""Who is near: cells of 2**shift units, in which agents and nodes lie sorted.

Cells in a row of the plane lie beside each other, so that a circle is a few runs of
neighbours. What is found never depends on the size of the cells: each search is clipped
by its radius, counts or takes the best, and the lower number wins a tie.
"""

from typing import NamedTuple

import numpy as np

from services.engines.population.chance import ODD, mixed
from services.engines.population.columns import (
    I4,
    I8,
    Agent,
    Integers,
    Node,
    Records,
)
from services.engines.population.compiling import kernel, wide


class Cells:
    """How wide cells are, and how many lie across and down."""

    shift: I8
    across: I8
    down: I8


class Spot:
    """Where an agent or a node is."""

    x: I4
    y: I4
    who: I4


class Grid(NamedTuple):
    """Cells: where each begins, of agents and of nodes in the present step."""

    cells: Records[Cells]
    start: Integers
    agents: Records[Spot]
    node_start: Integers
    nodes: Records[Spot]


@kernel
def lay_out_agents(agents: Records[Agent], alive: int, grid: Grid) -> None:
    """Sort the agents into cells, and within a cell by number."""
    shift, across = grid.cells[0].shift, grid.cells[0].across
    start, spots = grid.start, grid.agents
    for cell in range(len(start)):
        start[cell] = 0
    for i in range(alive):
        start[(agents[i].y >> shift) * across + (agents[i].x >> shift) + 1] += 1
    gather_up(start)
    for i in range(alive - 1, -1, -1):
        cell = (agents[i].y >> shift) * across + (agents[i].x >> shift) + 1
        start[cell] -= 1
        spot = spots[start[cell]]
        spot.x = agents[i].x
        spot.y = agents[i].y
        spot.who = i
    put_back(start, alive)


@kernel
def lay_out_nodes(nodes: Records[Node], grid: Grid, least: int) -> None:
    """Sort the nodes that have so much into cells, and within a cell by number."""
    shift, across = grid.cells[0].shift, grid.cells[0].across
    start, spots = grid.node_start, grid.nodes
    for cell in range(len(start)):
        start[cell] = 0
    count = 0
    for i in range(len(nodes)):
        if nodes[i].amount >= least:
            start[(nodes[i].y >> shift) * across + (nodes[i].x >> shift) + 1] += 1
            count += 1
    gather_up(start)
    for i in range(len(nodes) - 1, -1, -1):
        if nodes[i].amount < least:
            continue
        cell = (nodes[i].y >> shift) * across + (nodes[i].x >> shift) + 1
        start[cell] -= 1
        spot = spots[start[cell]]
        spot.x = nodes[i].x
        spot.y = nodes[i].y
        spot.who = i
    put_back(start, count)


@kernel
def gather_up(start: Integers) -> None:
    """Turn counts of cells into where the next cell begins."""
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]


@kernel
def put_back(start: Integers, count: int) -> None:
    """Turn what was counted down, one place too far, into where each cell begins."""
    for cell in range(len(start) - 1):
        start[cell] = start[cell + 1]
    start[len(start) - 1] = count


@kernel
def bounds(grid: Grid, x: int, y: int, reach: int) -> tuple[int, int, int, int]:
    """Return the first and last columns and rows of cells that a circle touches."""
    left = min(max(x - reach, 0) >> grid.cells[0].shift, grid.cells[0].across - 1)
    right = min(max(x + reach, 0) >> grid.cells[0].shift, grid.cells[0].across - 1)
    low = min(max(y - reach, 0) >> grid.cells[0].shift, grid.cells[0].down - 1)
    high = min(max(y + reach, 0) >> grid.cells[0].shift, grid.cells[0].down - 1)
    return left, right, low, high


@kernel
def meets(grid: Grid, x: int, y: int, reach: int, me: int) -> bool:
    """Say whether another agent is in range."""
    left, right, low, high = bounds(grid, x, y, reach)
    limit = reach * reach
    own = y >> grid.cells[0].shift
    for way in range(2):
        row = own if way == 0 else own - 1
        while low <= row <= high:
            base = row * grid.cells[0].across
            for j in range(grid.start[base + left], grid.start[base + right + 1]):
                dx = grid.agents[j].x - x
                dy = grid.agents[j].y - y
                if dx * dx + dy * dy <= limit and grid.agents[j].who != me:
                    return True
            row += 1 - 2 * way
    return False


@kernel
def crowd(grid: Grid, x: int, y: int, reach: int) -> int:
    """Count the agents in range of a place."""
    left, right, low, high = bounds(grid, x, y, reach)
    limit = reach * reach
    count = 0
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        for j in range(grid.start[base + left], grid.start[base + right + 1]):
            dx = grid.agents[j].x - x
            dy = grid.agents[j].y - y
            count += dx * dx + dy * dy <= limit
    return count


@kernel
def rank(key: np.uint64, uid: int) -> np.uint64:
    """Return a candidate's rank: the highest of all is an equal draw among them."""
    return mixed(key ^ (np.uint64(uid + 1) * ODD))


@kernel
def anyone(
    grid: Grid,
    agents: Records[Agent],
    x: int,
    y: int,
    reach: int,
    me: int,
    key: np.uint64,
    kind: int,
) -> int:
    """Draw one of the other agents in range, of a type unless -1; -1 for none."""
    left, right, low, high = bounds(grid, x, y, reach)
    limit = reach * reach
    best = np.uint64(0)
    found = -1
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        for j in range(grid.start[base + left], grid.start[base + right + 1]):
            dx = grid.agents[j].x - x
            dy = grid.agents[j].y - y
            if dx * dx + dy * dy > limit:
                continue
            other = grid.agents[j].who
            if other == me or (kind >= 0 and agents[other].kind != kind):
                continue
            ranked = rank(key, agents[other].uid)
            if found < 0 or ranked > best or (ranked == best and other < found):
                best = ranked
                found = other
    return found


@kernel
def sees_node(
    grid: Grid, nodes: Records[Node], x: int, y: int, reach: int, least: int
) -> bool:
    """Say whether a node in range has so much."""
    left, right, low, high = bounds(grid, x, y, reach)
    limit = reach * reach
    own = y >> grid.cells[0].shift
    for way in range(2):
        row = own if way == 0 else own - 1
        while low <= row <= high:
            base = row * grid.cells[0].across
            first = grid.node_start[base + left]
            for j in range(first, grid.node_start[base + right + 1]):
                dx = grid.nodes[j].x - x
                dy = grid.nodes[j].y - y
                if (
                    dx * dx + dy * dy <= limit
                    and nodes[grid.nodes[j].who].amount >= least
                ):
                    return True
            row += 1 - 2 * way
    return False


@kernel
def best_node(
    grid: Grid,
    nodes: Records[Node],
    x: int,
    y: int,
    reach: int,
    least: int,
    efficiency: int,
    cost: int,
) -> int:
    """Return the node in range that is worth most, -1 where none has the least.

    Worth is amount x efficiency - distance x cost, the distance rounded down.
    """
    left, right, low, high = bounds(grid, x, y, reach)
    limit = reach * reach
    best = 0
    found = -1
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        first = grid.node_start[base + left]
        for j in range(first, grid.node_start[base + right + 1]):
            dx = grid.nodes[j].x - x
            dy = grid.nodes[j].y - y
            square = dx * dx + dy * dy
            if square > limit:
                continue
            node = grid.nodes[j].who
            amount = wide(nodes[node].amount)
            if amount < least:
                continue
            worth = amount * efficiency - root(square) * cost
            if found < 0 or worth > best or (worth == best and node < found):
                best = worth
                found = node
    return found


@kernel
def nearest_node(grid: Grid, nodes: Records[Node], x: int, y: int, reach: int) -> int:
    """Return the nearest node in range that has something, or -1."""
    left, right, low, high = bounds(grid, x, y, reach)
    best = reach * reach
    found = -1
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        first = grid.node_start[base + left]
        for j in range(first, grid.node_start[base + right + 1]):
            dx = grid.nodes[j].x - x
            dy = grid.nodes[j].y - y
            square = dx * dx + dy * dy
            if square > best:
                continue
            node = grid.nodes[j].who
            if nodes[node].amount <= 0:
                continue
            if square < best or found < 0 or node < found:
                best = square
                found = node
    return found


@kernel
def nearest_agent(grid: Grid, x: int, y: int, reach: int, me: int) -> int:
    """Return the nearest other agent in range, the first of equals, or -1."""
    left, right, low, high = bounds(grid, x, y, reach)
    best = reach * reach
    found = -1
    for row in range(low, high + 1):
        base = row * grid.cells[0].across
        for j in range(grid.start[base + left], grid.start[base + right + 1]):
            dx = grid.agents[j].x - x
            dy = grid.agents[j].y - y
            square = dx * dx + dy * dy
            other = wide(grid.agents[j].who)
            if square > best or other == me:
                continue
            if square < best or found < 0 or other < found:
                best = square
                found = other
    return found


@kernel
def root(square: int) -> int:
    """Return the whole square root of a number below 2**62, rounded down."""
    guess = wide(np.sqrt(np.float64(square)))
    while guess * guess > square:
        guess -= 1
    while (guess + 1) * (guess + 1) <= square:
        guess += 1
    return guess
