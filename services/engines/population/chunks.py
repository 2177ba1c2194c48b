"""What goes into making a run, and what comes out, chunk by chunk."""

from typing import Final

import msgspec

from events.experiments.common import Capture, Tree
from events.experiments.simulations import Totals
from events.packing import Packed


ENGINE: Final = "population/1"
NUMERICS: Final = "whole numbers of 1/10000"
WITH_NETWORKS: Final = f"{NUMERICS}, networks of 32-bit numbers"
CHECKPOINT: Final = "application/vnd.rehearsal.checkpoint"


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """How a run begins: at its first step, or where a checkpoint was taken."""

    configuration: Tree
    seed: int
    capture: Capture
    checkpoint: bytes | None = None


class MadeChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that were made; `body` holds the recorded rows of each table.

    Both bodies are packed where they are made, which is beside what keeps them.
    """

    first: int
    last: int
    body: Packed
    rows: dict[str, int]
    state_hash: str
    checkpoint: Packed
    extinct: bool
    totals: Totals
    latest: dict[str, float]
