"""Mesa's own boids and wolf-sheep examples; runs in a virtual environment of its own.

Prints one JSON object: agent-steps per second of each model.
"""

import argparse
import json
import sys
import time
from typing import Any

from mesa.examples import BoidFlockers, WolfSheep  # type: ignore[import-not-found]
from mesa.experimental.devs import ABMSimulator  # type: ignore[import-not-found]


def rate(model: Any, seconds: float) -> float:  # noqa: ANN401 - the peer's
    """Return how many agent-steps a model makes in a second of its core."""
    done = 0
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        done += len(model.agents)
        model.step()
    return done / (time.thread_time() - began)


def main() -> None:
    """Measure both models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    found = {
        "boids": rate(BoidFlockers(population_size=1_000, seed=7), seconds),
        "wolf_sheep": rate(
            WolfSheep(
                simulator=ABMSimulator(),
                width=100,
                height=100,
                initial_sheep=1_000,
                initial_wolves=250,
                seed=7,
            ),
            seconds,
        ),
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
