"""Draws that follow from (seed, step, who, purpose), never from a generator's state.

The mix is that of SplitMix64 (Steele, Lea and Flood 2014). A key is mixed from seed and
step, another from that and the number of an agent or a node; a draw is mixed from the
second key and its purpose. So nothing that is added, left out, reordered or divided
among threads shifts another draw.
"""

from typing import Final

import numpy as np

from services.engines.population.compiling import kernel, wide


ODD: Final = np.uint64(0x9E3779B97F4A7C15)
FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SECOND: Final = np.uint64(0x94D049BB133111EB)
BITS_27: Final = np.uint64(27)
BITS_30: Final = np.uint64(30)
BITS_31: Final = np.uint64(31)
BITS_32: Final = np.uint64(32)
BITS_40: Final = np.uint64(40)

# Purposes: of agents below 64, of nodes from 64, of networks from 128.
EXPLORE: Final = 1
CHOOSE: Final = 2
EXPLORE_WITHIN: Final = 3
CHOOSE_WITHIN: Final = 4
TARGET: Final = 5
CROSS: Final = 6
MATE: Final = 7
PLACE_X: Final = 8
PLACE_Y: Final = 9
INHERIT: Final = 16  # to 23, one per gene
MUTATE: Final = 24  # to 31
FACTOR: Final = 32  # to 39
GROW: Final = 64
NODE_X: Final = 65
NODE_Y: Final = 66
NODE_AMOUNT: Final = 67
BATCH: Final = 128  # and on, one per experience of a batch
WEIGHT: Final = 65_536  # and on, one per weight


@kernel
def mixed(value: np.uint64) -> np.uint64:
    """Mix 64 bits."""
    value = (value ^ (value >> BITS_30)) * FIRST
    value = (value ^ (value >> BITS_27)) * SECOND
    return value ^ (value >> BITS_31)


@kernel
def step_key(seed: int, step: int) -> np.uint64:
    """Return the key of a step."""
    return mixed(mixed(np.uint64(seed) + ODD) + np.uint64(step) * ODD)


@kernel
def key_of(step: np.uint64, who: int) -> np.uint64:
    """Return the key of an agent or a node in a step, from the step's key."""
    return mixed(step + np.uint64(who + 1) * ODD)


@kernel
def draw(key: np.uint64, purpose: int) -> np.uint64:
    """Return 64 bits."""
    return mixed(key + np.uint64(purpose) * ODD)


@kernel
def below(bits: np.uint64, limit: int) -> int:
    """Return a whole number from 0 to limit - 1, which is below 2**32."""
    return wide(((bits >> BITS_32) * np.uint64(limit)) >> BITS_32)
