"""The supervisor: what dies is started again, what is told to stop stops."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from infra.supervisor import MISCONFIGURED, supervise


PYTHON = (sys.executable, "-I", "-S", "-c")

# Each writes its pid into a file of its own, so that starts can be counted.
STEADY = """
import os, signal, sys
open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
signal.pause()
"""
STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
while True:
    signal.pause()
"""
SUPERVISOR = """
import asyncio, sys
from infra.supervisor import supervise

asyncio.run(supervise({"role": lambda: sys.argv[2:]}, command=[sys.argv[1]]))
"""


async def test_told_to_stop_it_stops_every_role(tmp_path: Path) -> None:
    roles = {"one": _role(STEADY, tmp_path), "two": _role(STEADY, tmp_path)}
    running = asyncio.create_task(supervise(roles, command=PYTHON))
    pids = await _started(tmp_path, 2)
    with capture_logs() as lines:
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    stopped = {line["role"] for line in lines if line["event"] == "role_stopped"}
    assert stopped == {"one", "two"}
    assert not any(map(_alive, pids))


async def test_a_role_that_dies_is_started_again(tmp_path: Path) -> None:
    roles = {"role": _role(STEADY, tmp_path)}
    running = asyncio.create_task(
        supervise(roles, command=PYTHON, first_pause=0.01),
    )
    (first,) = await _started(tmp_path, 1)
    os.kill(first, signal.SIGKILL)
    await _started(tmp_path, 2)
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 0


async def test_a_role_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    roles = {"role": _role(STUBBORN, tmp_path)}
    running = asyncio.create_task(supervise(roles, command=PYTHON, grace_seconds=0.05))
    (pid,) = await _started(tmp_path, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 1
    assert not _alive(pid)


async def test_told_twice_it_does_not_wait(tmp_path: Path) -> None:
    roles = {"role": _role(STUBBORN, tmp_path)}
    running = asyncio.create_task(supervise(roles, command=PYTHON, grace_seconds=600))
    await _started(tmp_path, 1)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    assert await running == 1


async def test_a_role_that_once_started_is_started_until_it_can_be(
    tmp_path: Path,
) -> None:
    after_two = f"""
import os, signal, sys
open(f"{{sys.argv[1]}}/{{os.getpid()}}", "w").close()
starts = len(os.listdir(sys.argv[1]))
signal.pause() if starts == 3 else sys.exit({MISCONFIGURED} if starts == 2 else 1)
"""
    roles = {"role": _role(after_two, tmp_path)}
    running = asyncio.create_task(supervise(roles, command=PYTHON, first_pause=0.01))
    await _started(tmp_path, 3)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_wrong_settings_of_one_role_end_all(tmp_path: Path) -> None:
    roles = {
        "steady": _role(STEADY, tmp_path),
        "wrong": lambda: [f"raise SystemExit({MISCONFIGURED})"],
    }
    assert await supervise(roles, command=PYTHON) == MISCONFIGURED


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
async def test_no_role_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, *PYTHON, STUBBORN, str(tmp_path)),
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    (pid,) = await _started(tmp_path, 1)
    supervisor.kill()
    await supervisor.wait()
    async with asyncio.timeout(10):
        while _alive(pid):  # noqa: ASYNC110 - the kernel's doing
            await asyncio.sleep(0.01)


def _role(program: str, folder: Path) -> Callable[[], list[str]]:
    return lambda: [program, str(folder)]


async def _started(folder: Path, count: int) -> list[int]:
    """Return the pids of the roles that were started, once there are enough."""
    async with asyncio.timeout(10):
        while len(pids := list(map(int, os.listdir(folder)))) < count:  # noqa: ASYNC110, PTH208 - another process's doing
            await asyncio.sleep(0.01)
    return pids


def _alive(pid: int) -> bool:
    """Say whether a process runs; a zombie that nobody has reaped does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"
