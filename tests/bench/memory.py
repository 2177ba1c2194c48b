"""What an idle stack holds: the supervisor, its roles and the embedded PostgreSQL.

Proportional set size, so that pages shared by processes count once. Idle means that it
is ready and that nothing has been asked of it for a while.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from infra.embedded.server import free_port
from tests.bench.measuring import Bar, Figure
from tests.bench.server import (
    Bench,
    answering,
    environment,
    process,
    rehearsal,
    temporary_folder,
)


ROW: Final = "memory"
SETTLING: Final = 10.0  # seconds
MIB: Final = 1 << 20
MEASURABLE: Final = Path("/proc/self/smaps_rollup").exists()


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack: its folder and the process that supervises it."""

    data_dir: Path
    pid: int


async def measure(_bench: Bench) -> list[Figure]:
    """Return the figure of the row."""
    if not MEASURABLE:
        return [
            Figure(
                row=ROW,
                what="idle stack without a broker",
                unit="MiB",
                note="not measured: this system does not tell proportional set sizes",
            )
        ]
    async with stack() as running:
        await asyncio.sleep(SETTLING)
        held = list(sizes(running.pid))
    largest = sorted(held, key=lambda one: -one[1])
    return [
        Figure(
            row=ROW,
            what=f"idle stack without a broker, {len(held)} processes, PSS",
            unit="MiB",
            value=sum(size for _, size in held) / MIB,
            bar=Bar(most=300.0),
            note=", ".join(f"{name} {size / MIB:.0f}" for name, size in largest[:6]),
        )
    ]


@asynccontextmanager
async def stack() -> AsyncIterator[Stack]:
    """Run a whole stack with an embedded PostgreSQL, and yield it when it is ready."""
    with temporary_folder() as folder:
        data_dir, log = folder / "data", folder / "up.log"
        port, admin_port = free_port(), free_port()
        command = rehearsal(
            *("up", "--data-dir", data_dir),
            *("--http-port", str(port), "--admin-port", str(admin_port)),
        )
        async with process(command, environment(), log) as child:
            await answering(f"http://127.0.0.1:{admin_port}/readyz", child, log)
            yield Stack(data_dir=data_dir, pid=child.pid)


def sizes(pid: int) -> Iterator[tuple[str, int]]:
    """Yield the name and size in bytes of a process and of all that descend from it."""
    root = psutil.Process(pid)
    for one in [root, *root.children(recursive=True)]:
        yield named(one), pss(one.pid)


def pss(pid: int) -> int:
    """Return the proportional set size of a process in bytes."""
    return told(pid, "Pss")


def written(pid: int) -> int:
    """Return the size of what a process alone has written, in bytes.

    It is the part of the proportional set size that does not change when processes
    which share the programs and libraries come and go.
    """
    return told(pid, "Private_Dirty")


def told(pid: int, what: str) -> int:
    """Return what the system tells of the memory of a process, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = next(line for line in lines if line.startswith(f"{what}:"))
    return int(found.split()[1]) * 1024


def named(one: psutil.Process) -> str:
    """Return what a process is, in a word or two."""
    words = one.cmdline()
    if "infra.cli" in words:
        return words[words.index("infra.cli") + 1]
    return one.name()
