"""A RabbitMQ in a container, where a Docker daemon answers.

The client's `docker run` is our child, and tethered: told to stop, or when this process
dies, it stops its container, which is removed with all that it held.
"""

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from infra.clock import new_id
from infra.embedded.rabbit import USER, greets
from infra.embedded.server import free_port, new_password
from infra.settings import SetupError, inherited
from infra.tether import tethered


DAEMON: Final = "unix:///var/run/docker.sock"
IMAGE: Final = "rabbitmq:4-alpine"
AMQP: Final = 5672
PULL_SECONDS: Final = 600.0
STOP_SECONDS: Final = 30.0


def daemon_answers(host: str | None = None) -> bool:
    """Say whether a Docker daemon answers: the given one, or that of this machine."""
    parts = urlsplit(host or DAEMON)
    family, target = (
        (socket.AF_UNIX, parts.path)
        if parts.scheme == "unix"
        else (socket.AF_INET, (parts.hostname, parts.port or 2375))
    )
    with socket.socket(family) as daemon:
        daemon.settimeout(1)
        try:
            daemon.connect(target)
            daemon.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in daemon.recv(64)
        except OSError:
            return False


def docker() -> str | None:
    """Return the client program, where it is there and its daemon answers."""
    if not daemon_answers(inherited().get("DOCKER_HOST")):
        return None
    return shutil.which("docker")


@asynccontextmanager
async def rabbit_container(program: str) -> AsyncIterator[str]:
    """Yield the address of a broker in a container of its own, on the loopback.

    Raises `SetupError` with the client's last words where it does not start.
    """
    password, port = new_password(), free_port()
    # Without a value the client takes one from its environment: no list shows it.
    command = [
        *(program, "run", "--rm", "--init", "--name", f"rehearsal-{new_id().hex}"),
        *("--publish", f"127.0.0.1:{port}:{AMQP}"),
        *("--env", "RABBITMQ_DEFAULT_USER", "--env", "RABBITMQ_DEFAULT_PASS"),
        IMAGE,
    ]
    child = await asyncio.create_subprocess_exec(
        *tethered(command, death=signal.SIGTERM),
        env={
            **inherited(),
            "RABBITMQ_DEFAULT_USER": USER,
            "RABBITMQ_DEFAULT_PASS": password,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # the terminal's ^C is for us alone
    )
    listening = asyncio.create_task(_last_words(child))
    try:
        await _answering(child, port, listening)
        yield f"amqp://{USER}:{password}@127.0.0.1:{port}/"
    finally:
        await asyncio.shield(_stop(child))
        await listening


async def _answering(
    child: asyncio.subprocess.Process, port: int, said: asyncio.Task[str]
) -> None:
    deadline = time.monotonic() + PULL_SECONDS
    while not await greets("127.0.0.1", port):
        if child.returncode is not None:
            message = f"docker could not run {IMAGE}: {await said}"
            raise SetupError(message)
        if time.monotonic() > deadline:
            message = f"{IMAGE} did not answer within {PULL_SECONDS:.0f} s"
            raise SetupError(message)
        await asyncio.sleep(0.1)


async def _last_words(child: asyncio.subprocess.Process) -> str:
    last = "it said nothing"
    assert child.stderr is not None  # noqa: S101 - for the type checker
    async for line in child.stderr:
        last = line.decode(errors="replace").strip() or last
    return last


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOP_SECONDS)
        except TimeoutError:
            child.kill()
            await child.wait()
