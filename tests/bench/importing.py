"""A recorded file, imported by the command line into a stack that runs.

The clock starts when the command is called and stops when it has ended: the file is
checked, every command handled, and the read tables show all of it. Without a file of
one's own, one of the same shape and size is made: 200 trials of 50 tasks.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from tests.bench.measuring import Bar, Figure, median
from tests.bench.memory import stack
from tests.bench.server import (
    Bench,
    FailedError,
    answer_of,
    environment,
    rehearsal,
    temporary_folder,
)


ROW: Final = "import"
TASKS: Final = 50
TRIALS: Final = 4
TURNS: Final = (7, 29)
SEED: Final = 2024
WORDS: Final = tuple(
    word.strip(".,:;") for word in (__doc__ or "").lower().split() if len(word) > 1
)


async def measure(bench: Bench) -> list[Figure]:
    """Return the figure of the row."""
    spent: list[float] = []
    entries = size = 0
    with temporary_folder() as folder:
        for number in range(bench.rounds):
            file = bench.recorded or write_records(folder / f"{number}.json", number)
            size = file.stat().st_size
            async with stack() as running:
                began = perf_counter()
                printed = await answer_of(
                    rehearsal(
                        *("import", "tau-bench", file.absolute()),
                        *("--data-dir", running.data_dir, "--json"),
                    ),
                    environment(),
                )
                spent.append(perf_counter() - began)
            summary = msgspec.json.decode(printed)
            entries = summary["entries"]
            if summary["result"] != "imported":
                message = f"the import said: {printed}"
                raise FailedError(message)
    return [
        Figure(
            row=ROW,
            what=f"import of {size / 1e6:.1f} MB, {entries:,} entries, until shown",
            unit="s",
            value=median(spent),
            rounds=tuple(spent),
            bar=Bar(most=5.0),
            note="a given file" if bench.recorded else "a generated file",
        )
    ]


def write_records(file: Path, seed: int) -> Path:
    """Write a file of made-up records and return where it is."""
    file.write_bytes(msgspec.json.encode(list(records(random.Random(SEED + seed)))))  # noqa: S311 - text that is made up
    return file


def records(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Yield as many records as a recorded file of an airline has, about as long."""

    def text(words: int) -> str:
        return " ".join(chance.choices(WORDS, k=words))

    policy = text(1_350)
    for task in range(TASKS):
        wanted = {
            "user_id": f"traveller_{task}",
            "instruction": text(90),
            "actions": [
                {"name": "book_reservation", "kwargs": {"note": text(40)}}
                for _ in range(chance.randint(0, 3))
            ],
            "outputs": [],
        }
        for trial in range(TRIALS):
            yield {
                "task_id": task,
                "trial": trial,
                "reward": float(chance.random() < 0.42),
                "info": {"task": wanted, "source": "user", "user_cost": 0.004},
                "traj": list(turns(chance, policy)),
            }


def turns(chance: random.Random, policy: str) -> Iterator[dict[str, Any]]:
    """Yield the turns of one conversation."""

    def text(least: int, most: int) -> str:
        return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))

    yield {"role": "system", "content": policy}
    for number in range(chance.randint(*TURNS) // 2):
        yield {"role": "user", "content": text(5, 60)}
        if number % 2:
            call = {
                "id": f"call_{number}",
                "type": "function",
                "function": {
                    "name": "get_reservation_details",
                    "arguments": f'{{"note": "{text(3, 20)}"}}',
                },
            }
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
            yield {
                "role": "tool",
                "tool_call_id": call["id"],
                "name": "get_reservation_details",
                "content": text(60, 400),
            }
        yield {"role": "assistant", "content": text(30, 150)}
    yield {"role": "user", "content": "###STOP###"}
