"""Making chunks: a run advanced, and what is kept of it as bytes.

This module alone brings the compiled engine in; whoever only names chunks imports
`services.engines.population.chunks`.
"""

from typing import Final

from events.experiments.columnar import MEDIA_TYPE, archived, encoded
from events.experiments.metrics import step_metrics
from events.experiments.simulations import Totals
from events.packing import packed
from services.engines.population.chunks import CHECKPOINT, Begin, MadeChunk
from services.engines.population.columns import array_of
from services.engines.population.configuration import configuration
from services.engines.population.ledger import violations
from services.engines.population.rules import NEVER, Capture
from services.engines.population.simulation import (
    Chunk,
    Simulation,
    Spread,
    hash_of,
    one_by_one,
)


NONE: Final = Capture(every=0)


class BrokenLedgerError(Exception):
    """A step does not balance: the engine has a defect."""


class Making:
    """A run that is advanced chunk by chunk."""

    def __init__(
        self, begin: Begin, *, spread: Spread = one_by_one, threads: int = 1
    ) -> None:
        made = configuration(begin.configuration)
        capture = begin.capture
        how = {
            "capture": Capture(
                every=capture.every,
                first=capture.first,
                last=NEVER if capture.last is None else capture.last,
                sample=capture.sample,
            ),
            "spread": spread,
            "threads": threads,
        }
        self._made = made
        if begin.checkpoint is None:
            self._run = Simulation.begin(made, begin.seed, **how)
        else:
            self._run = Simulation.resume(made, begin.checkpoint, **how)

    def run(self, until: int) -> MadeChunk:
        """Go on until a step, or until nobody lives, and return what was recorded."""
        chunk = self._run.run(until)
        steps = array_of(chunk.tables.steps)
        for broken in violations(steps):
            message = f"{broken}"
            raise BrokenLedgerError(message)
        checkpoint = self._run.checkpoint()
        tables = {
            name: array_of(table)
            for name, table in chunk.tables._asdict().items()
            if len(table)
        }
        metrics = step_metrics(
            steps[-1:], nodes=self._made.resources.nodes, ruleset=self._made.ruleset
        )
        return MadeChunk(
            first=chunk.first,
            last=chunk.last,
            body=packed(
                archived({name: encoded(rows) for name, rows in tables.items()}),
                media_type=MEDIA_TYPE,
            ),
            rows={name: len(rows) for name, rows in tables.items()},
            state_hash=hash_of(checkpoint),
            checkpoint=packed(checkpoint, media_type=CHECKPOINT),
            extinct=chunk.extinct,
            totals=totals_of(chunk),
            latest={name: float(column[-1]) for name, column in metrics.items()},
        )


def totals_of(chunk: Chunk) -> Totals:
    """Return what the steps of a chunk come to; the founders are no births."""
    steps = array_of(chunk.tables.steps)
    born = steps["births"][steps["step"] > 0]
    return Totals(
        births=int(born.sum()),
        deaths=int(steps["deaths"].sum()),
        peak_agents=int(steps["agents"].max(initial=0)),
        agent_steps=int(steps["agents"][steps["step"] > 0].sum()),
    )
