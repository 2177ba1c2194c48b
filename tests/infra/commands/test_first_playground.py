"""The page of a first playground, run as it stands there, in a folder of its own."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Final

import msgspec

from tests.infra.commands.process import START_SECONDS, folder


PAGE: Final = Path(__file__).parents[3] / "docs/first-playground.md"
PORT: Final = "8080"
BLOCK: Final = re.compile(
    r"^```sh\n(?P<told>.*?)^```\n(?:\n```text\n(?P<said>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
MARK: Final = "=== block ==="
LONGEST: Final = 300.0


@dataclass(frozen=True)
class Block:
    """Commands of the page, and what the page says that they print."""

    told: str
    said: str


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    return [Block(found["told"], found["said"] or "") for found in BLOCK.finditer(text)]


def fits(said: str, printed: str) -> bool:
    """Say whether something was printed, where `...` stands for anything."""
    pattern = ".*?".join(map(re.escape, said.strip().split("...")))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def environment(**more: str) -> dict[str, str]:
    """Return what a newcomer's shell has, and no setting."""
    machine = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a process needs the machine's
        if not name.startswith("REHEARSAL_")
    }
    path = f"{Path(sys.executable).parent}:{machine.get('PATH', '')}"
    return {**machine, "PATH": path, "COLUMNS": "80", **more}


@asynccontextmanager
async def running(place: Path, command: str) -> AsyncIterator[str]:
    """Yield the port of the stack that the page's first command starts."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", f"exec {command}"),
        cwd=place,
        env=environment(REHEARSAL_HTTP_PORT="0", REHEARSAL_ADMIN_PORT="0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        said: dict[str, int] = {}
        async with asyncio.timeout(START_SECONDS):
            while "api_started" not in said:
                line = await process.stderr.readline()
                assert line, said
                fields = msgspec.json.decode(line)
                said[fields["event"]] = fields.get("port", 0)
        draining = asyncio.create_task(process.stderr.read())
        yield str(said["api_started"])
        process.send_signal(SIGTERM)
        await draining
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def shell(place: Path, script: str, port: str) -> str:
    """Return what a script prints, with its errors."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eu", "-o", "pipefail", "-c", script),
        cwd=place,
        env=environment(REHEARSAL_HTTP_PORT=port),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LONGEST):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, printed.decode()
    return printed.decode().replace("\r\n", "\n")


async def test_the_page_of_a_first_playground_comes_out_as_it_says() -> None:
    first, *rest = blocks()
    # The port of the page may be taken here: nothing else is changed.
    script = f"\necho '{MARK}'\n".join(each.told for each in rest)
    assert script.count(PORT) == 1
    with folder() as place:
        async with running(place, first.told.strip()) as port:
            printed = await shell(place, script.replace(PORT, port), port)

    came = printed.split(f"{MARK}\n")
    assert len(came) == len(rest) > 10
    others = [
        f"{block.told}\nprints\n{each}"
        for block, each in zip(rest, came, strict=True)
        if not fits(block.said, each)
    ]
    assert not others, "\n".join(others)
