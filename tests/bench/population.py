"""The population engine, every row recorded, beside Mesa's examples on this machine.

Agent-steps: living agents that took a turn. Agents are as dense as 30 on a plane of
100 x 100, with two nodes to three agents. The first chunk of a run, which takes its
memory, is not measured. Runs of up to 1,000 agents, and Mesa, count the time of their
one core; larger runs use two, and count the time that passes.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, thread_time
from typing import Final

import numba

from infra.kernels import kernel_directory
from services.engines.population.columns import array_of
from services.engines.population.configuration import Configuration, configuration
from tests.bench.measuring import Bar, Figure, median
from tests.bench.others import FOLDER, PEERS, attempted
from tests.bench.server import Bench, answer_of, environment


Spread = Callable[[Sequence[Callable[[], object]]], None]

ROW: Final = "population"
SIZES: Final = (30, 300, 1_000, 10_000, 100_000)
ONE_CORE: Final = 1_000
WORK: Final = 150_000  # agent-steps of a chunk
PACKAGES: Final = ("mesa[network]==3.3.1",)
BARS: Final[dict[tuple[str, int], float | None]] = {
    ("off", 30): 2e6,
    ("off", 300): 2e6,
    ("off", 1_000): 2e6,
    ("off", 10_000): 2e6,
    ("off", 100_000): 1e6,
    ("tables", 30): 1e6,
    ("tables", 300): 1e6,
    ("tables", 1_000): 1e6,
    ("dqn", 30): None,  # bound by six trainings a step, however many agents there are
    ("dqn", 1_000): None,
}
LEARNING: Final = {
    "off": "not learning",
    "tables": "learning",
    "dqn": "learning by networks",
}


async def measure(bench: Bench) -> list[Figure]:
    """Return the figures of the row."""
    peers = await mesa(bench.seconds)
    numba.config.CACHE_DIR = str(kernel_directory(FOLDER / "kernels"))  # type: ignore[attr-defined]
    figures: list[Figure] = []
    with ThreadPoolExecutor(2) as pool:
        for (mode, agents), bar in BARS.items():
            rates = tuple(
                rate(crowd(agents, mode), bench.seconds, threaded(pool), seed)
                for seed in range(bench.rounds)
            )
            cores = "1 core" if agents <= ONE_CORE else "2 cores"
            alike = agents == ONE_CORE and mode == "off" and not isinstance(peers, str)
            figures.append(
                Figure(
                    row=ROW,
                    what=f"agent-steps, {agents:,} agents, {LEARNING[mode]}, {cores}",
                    unit="/s",
                    value=median(rates),
                    rounds=rates,
                    bar=None if bar is None else Bar(least=bar),
                    against="Mesa boids, 1,000" if alike else None,
                    peer=peers["boids"] if alike and isinstance(peers, dict) else None,
                )
            )
    if isinstance(peers, str):
        note = f"not measured: {peers}"
        return [*figures, Figure(row=ROW, what="Mesa", unit="/s", note=note)]
    wolves = peers["wolf_sheep"]
    figures.append(
        Figure(row=ROW, what="agent-steps, Mesa wolf-sheep", unit="/s", value=wolves)
    )
    return figures


def crowd(agents: int, mode: str) -> Configuration:
    """Return a population of a size, as dense as the smallest."""
    third = agents // 3
    side = 100 * (agents / SIZES[0]) ** 0.5
    return configuration(
        {
            "learning": {"mode": mode},
            "world": {"width": side, "height": side},
            "resources": {"nodes": 2 * third},
            "population": {
                "system": agents - 2 * third,
                "independent": third,
                "control": third,
                "maximum": min(10 * agents, 250_000),
            },
        }
    )


def rate(made: Configuration, seconds: float, spread: Spread, seed: int) -> float:
    """Return how many agent-steps are made in a second."""
    # Compiled when first needed, once the directory of machine code is set.
    from services.engines.population.simulation import Simulation  # noqa: PLC0415

    threads = 1 if made.population.maximum <= 10 * ONE_CORE else 2
    run = Simulation.begin(made, seed, spread=spread, threads=threads)
    done = began = 0.0
    chunk = max(2, WORK // made.population.maximum * 10)
    run.run(chunk)
    clock = thread_time if threads == 1 else perf_counter
    began = clock()
    while clock() - began < seconds:
        steps = array_of(run.run(run.step + chunk).tables.steps)
        done += float(steps["agents"].sum())
        if not run.alive:
            run = Simulation.begin(made, seed, spread=spread, threads=threads)
    return done / (clock() - began)


def threaded(pool: ThreadPoolExecutor) -> Spread:
    """Return what shares the parts of a step among threads."""

    def spread(parts: Sequence[Callable[[], object]]) -> None:
        for done in [pool.submit(part) for part in parts]:
            done.result()

    return spread


async def mesa(seconds: float) -> dict[str, float] | str:
    """Return the rates of Mesa's examples, or why there are none."""
    folder = FOLDER / "mesa"
    program = folder / "bin" / "python"
    if not (folder / "installed").exists():
        missing = await attempted(
            [sys.executable, "-m", "venv", folder],
            [program, "-m", "pip", "install", "--quiet", *PACKAGES],
        )
        if missing is not None:
            return missing
        (folder / "installed").touch()
    printed = await answer_of(
        [program, PEERS / "mesa_peer.py", "--seconds", str(seconds)], environment()
    )
    found: dict[str, float] = json.loads(printed.splitlines()[-1])
    return found
