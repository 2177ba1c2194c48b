"""The engine of populations, compiled once for all processes of the tests."""

import fcntl
from pathlib import Path
from typing import Final

import numba
from msgspec.structs import replace

from events.experiments.common import Capture
from services.engines.population.chunks import Begin
from services.engines.population.making import Making


KINDS: Final[tuple[dict[str, object], ...]] = (
    {},
    {"learning": {"mode": "dqn"}},
    {"ruleset": "agentfarm-2025-07"},
)


def compile_once() -> None:
    """Return once the machine code is kept: one process makes it, others wait."""
    kept = Path(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    kept.mkdir(parents=True, exist_ok=True)
    with (kept / "compiled").open("a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        if mark.tell():
            return
        for kind in KINDS:
            begin = Begin(configuration=kind, seed=7, capture=Capture())
            made = Making(begin).run(2)
            Making(replace(begin, checkpoint=made.checkpoint.opened())).run(3)
        mark.write("yes")
