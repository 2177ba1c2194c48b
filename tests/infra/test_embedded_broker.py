"""The RabbitMQ of a data directory: held by one, joined by others, deathless."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from infra.embedded import broker, debian, docker, ladder
from infra.embedded.broker import Carrier, NoBrokerError, embedded_rabbit, probed
from infra.embedded.docker import daemon_answers, rabbit_container
from infra.settings import SetupError
from tests.infra.commands.process import folder
from tests.rabbit_ladder import OwnBroker


OWNER_PROCESS = """
import asyncio, sys
from pathlib import Path
from infra.embedded.broker import embedded_rabbit
from infra.logs import configure_logs

async def main():
    async with embedded_rabbit(Path(sys.argv[1]), namespace="tests") as carrier:
        print(carrier.url, flush=True)
        await asyncio.Event().wait()

configure_logs()
asyncio.run(main())
"""

# What of Docker's client the product needs, with a listener in the container's place.
CLIENT = """#!{python} -IS
import os, signal, socket, sys
words = sys.argv[1:]
assert words[0] == "run" and "--rm" in words and words[-1].startswith("rabbitmq:")
assert os.environ["RABBITMQ_DEFAULT_PASS"] not in " ".join(words)
host, port, inside = words[words.index("--publish") + 1].split(":")
assert (host, inside) == ("127.0.0.1", "5672")
server = socket.create_server((host, int(port)))
print("Status: Downloaded newer image", file=sys.stderr, flush=True)
def stop(number, frame):
    open(sys.argv[0] + ".stopped", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
while True:
    peer, _ = server.accept()
    peer.sendall(b"\\x01")
    peer.close()
"""
REFUSING = """#!/bin/sh
echo 'docker: Error response from daemon: no space left on device.' >&2
exit 125
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker of the machine's own is found."""
    monkeypatch.setattr(broker, "USUAL", ("127.0.0.1", 1))


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with folder() as path:
        yield path / "data"


@asynccontextmanager
async def held(data_dir: Path, *, join: bool = True) -> AsyncIterator[Carrier]:
    async with embedded_rabbit(data_dir, namespace="tests", join=join) as carrier:
        yield carrier


@pytest.mark.usefixtures("alone", "own_rabbitmq")
async def test_it_is_started_joined_and_started_again_when_it_dies(
    data_dir: Path,
) -> None:
    async with held(data_dir) as first:
        assert first.url is not None
        assert (first.name[:15], first.namespace) == ("RabbitMQ, local", "tests")
        assert first.url not in repr(first)
        assert oct((data_dir / "broker.json").stat().st_mode)[-3:] == "600"
        async with held(data_dir) as second:
            assert second == first
        with pytest.raises(SetupError, match="holds the broker of"):
            async with held(data_dir, join=False):
                pass
        server = psutil.Process(_listener(first.url))
        server.send_signal(signal.SIGKILL)
        assert await _patiently(first.url)
    assert not server.is_running()
    assert not (data_dir / "broker.json").exists()


@pytest.mark.usefixtures("alone", "own_rabbitmq")
async def test_a_killed_owner_leaves_nothing_in_the_way(data_dir: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER_PROCESS, str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline()
    owner.kill()
    await owner.wait()
    async with held(data_dir, join=False) as carrier:
        assert carrier.url is not None
        assert await probed(carrier.url)


async def test_one_that_runs_here_is_shared_under_a_mark(
    own_rabbitmq: OwnBroker, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(own_rabbitmq.url.rstrip("/").rpartition(":")[2])
    monkeypatch.setattr(broker, "USUAL", ("127.0.0.1", port))
    monkeypatch.setattr(broker, "GUEST", own_rabbitmq.url)
    async with held(data_dir) as carrier:
        assert carrier.url == own_rabbitmq.url
        assert carrier.namespace.startswith("tests-")
        assert carrier.name.endswith("running on this machine")
    async with held(data_dir) as again:
        assert again.namespace == carrier.namespace


async def test_one_that_runs_here_and_refuses_us_is_passed_over(
    own_rabbitmq: OwnBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(own_rabbitmq.url.rstrip("/").rpartition(":")[2])
    monkeypatch.setattr(broker, "USUAL", ("127.0.0.1", port))
    monkeypatch.setattr(broker, "GUEST", f"amqp://guest:guest@127.0.0.1:{port}/")
    assert await broker.running() is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("amqp://127.0.0.1:1/", "the broker is away"),
        ("amqp://[::1:5672/", "Invalid"),
    ],
)
async def test_a_broker_that_cannot_be_asked_is_an_error(
    url: str, message: str
) -> None:
    with pytest.raises(SetupError, match=message):
        await probed(url)


@pytest.mark.usefixtures("alone")
async def test_where_none_can_be_had_every_reason_is_told(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "installed", lambda: None)
    monkeypatch.setattr(ladder, "docker", lambda: None)
    monkeypatch.setattr(debian, "can_install", lambda: False)
    assert not await broker.at_hand()
    with pytest.raises(NoBrokerError) as refused:
        async with held(data_dir):
            pass
    for reason in (*ladder.REASONS, "REHEARSAL_BROKER", "--broker postgres"):
        assert reason in str(refused.value)


def test_a_container_comes_before_an_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ladder, "installed", lambda: None)
    monkeypatch.setattr(debian, "can_install", lambda: True)
    monkeypatch.setattr(ladder, "docker", lambda: None)
    rung = ladder.ladder()
    assert rung is not None
    assert rung.name == "apt"
    monkeypatch.setattr(ladder, "docker", lambda: "/usr/bin/docker")
    rung = ladder.ladder()
    assert rung is not None
    assert rung.name.endswith("in Docker")


async def test_a_container_lives_as_long_as_it_is_held(tmp_path: Path) -> None:
    client = _program(tmp_path, CLIENT.replace("{python}", sys.executable))
    async with rabbit_container(str(client)) as url:
        assert url.startswith("amqp://rehearsal:")
    assert client.with_name("docker.stopped").exists()


async def test_a_container_that_cannot_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no space left on device"):
        async with rabbit_container(str(_program(tmp_path, REFUSING))):
            pass


def test_no_daemon_answers_where_none_is(tmp_path: Path) -> None:
    assert not daemon_answers(f"unix://{tmp_path}/docker.sock")
    assert docker.docker() is None or daemon_answers()


def test_an_installation_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "apt-get"
    program.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    monkeypatch.setattr(debian, "POLICY", tmp_path / "policy")
    with pytest.raises(SetupError, match="apt-get update failed: E: Unable to locate"):
        debian.install("rabbitmq-server")
    assert not (tmp_path / "policy").exists()


def _program(tmp_path: Path, text: str) -> Path:
    program = tmp_path / "docker"
    program.write_text(text)
    program.chmod(0o755)
    return program


def _listener(url: str) -> int:
    """Return the process of ours that listens at a URL's port."""
    port = int(url.rstrip("/").rpartition(":")[2])
    for child in psutil.Process().children(recursive=True):
        for connection in child.net_connections(kind="inet"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr.port == port:
                return child.pid
    message = f"nobody listens at {port}"
    raise AssertionError(message)


async def _patiently(url: str) -> str:
    async with asyncio.timeout(60):
        while True:
            try:
                return await probed(url)
            except SetupError:
                await asyncio.sleep(0.1)
