"""Facts about simulations that run elsewhere, and what was recorded of them.

The rows of a batch are in the fact itself, column after column, as MessagePack under
zstd: what was checked when it was handed in is what tables are filled with.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import zstandard

from events.errors import Malformed
from events.experiments.common import ExperimentsEvent, Tree
from events.ids import ExperimentId, SimulationId


Origin = Literal["recorded", "imported"]
End = Literal["completed", "cancelled", "failed"]
Batch = Mapping[str, Mapping[str, Sequence[Any]]]
"""Columns of equal length, by table and column, under the names of the read tables."""

LEVEL: Final = 3
LARGEST: Final = 64 << 20


class OutsideSimulationOpened(ExperimentsEvent, frozen=True, kw_only=True):
    """A simulation that runs elsewhere is to be recorded here.

    `name` is how it is known there, `model` says what makes it. One that was imported
    was over, or under way, when its rows were copied from a file.
    """

    simulation_id: SimulationId
    name: str
    model: str
    origin: Origin
    experiment_id: ExperimentId | None
    number: int
    parameters: Tree
    configuration: Tree
    start_time: datetime | None


class OutsideRowsRecorded(ExperimentsEvent, frozen=True, kw_only=True):
    """Rows of a simulation elsewhere were handed in; batches count from 1.

    `rows` says how many there are by table, `before` how many there were. `last_step`
    is the greatest step so far, -1 for none, `latest` the metrics of the last step in
    this batch that has any.
    """

    simulation_id: SimulationId
    batch: int
    rows: dict[str, int]
    before: dict[str, int]
    last_step: int
    latest: dict[str, float]
    body: bytes


class OutsideSimulationEnded(ExperimentsEvent, frozen=True, kw_only=True):
    """A simulation elsewhere is over, and no more of it is recorded."""

    simulation_id: SimulationId
    status: End
    end_time: datetime | None
    results_summary: Tree
    reason: str


OutsideSimulationEvent = (
    OutsideSimulationOpened | OutsideRowsRecorded | OutsideSimulationEnded
)


def packed(batch: Batch) -> bytes:
    """Return the columns of a batch as bytes."""
    return zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.msgpack.encode(batch))


def unpacked(body: bytes) -> Batch:
    """Return the columns of a batch, or raise `Malformed`."""
    try:
        content = zstandard.ZstdDecompressor().decompress(body, max_output_size=LARGEST)
        return msgspec.msgpack.decode(content, type=dict[str, dict[str, list[Any]]])
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        message = f"These are no rows: {error}"
        raise Malformed(message) from error
