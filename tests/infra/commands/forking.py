"""Processes of the command line that begin with everything imported.

A process that holds the modules of all commands forks one for each that is asked for:
with its own arguments, environment, streams and exit code, half a second sooner. That
each command finds all that it imports is shown where it begins from nothing.
"""

import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Final


LONGEST: Final = 150_000  # bytes of arguments and environment
NUMBER: Final = 4  # bytes


class Forks:
    """A process that forks others, until this one ends."""

    def __init__(self) -> None:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def ask(
        self, words: Sequence[str], environment: Mapping[str, str], streams: list[int]
    ) -> socket.socket:
        """Begin a command on three streams; its id, then its exit code, are told."""
        told, theirs = socket.socketpair()
        with theirs:
            asked = json.dumps([words, dict(environment)]).encode()
            socket.send_fds(self._asking, [asked], [*streams, theirs.fileno()])
        return told

    def close(self) -> None:
        """End the process."""
        self._asking.close()
        self._process.wait()


@cache
def forks() -> Forks:
    """Return what forks the commands of this process."""
    return Forks()


def number(told: socket.socket) -> int:
    """Return the next number that is told of a command."""
    return int.from_bytes(told.recv(NUMBER, socket.MSG_WAITALL), "big", signed=True)


def serve(asking: socket.socket) -> None:
    """Fork until nobody can ask any more."""
    waking, woken = socket.socketpair()
    for each in (waking, woken):
        each.settimeout(0)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken.fileno())
    tellers: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(asking, selectors.EVENT_READ)
        selector.register(waking, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if waking in ready:
                waking.recv(4_096)
                _tell_ended(tellers)
            if asking not in ready:
                continue
            asked, fds, _, _ = socket.recv_fds(asking, LONGEST, 4)
            if not asked:
                return
            *streams, teller = fds
            pid = os.fork()
            if not pid:
                selector.close()
                for held in (asking, waking, woken, *tellers.values()):
                    held.close()
                os.close(teller)
                _become(asked, streams)
            tellers[pid] = socket.socket(fileno=teller)
            tellers[pid].send(pid.to_bytes(NUMBER, "big"))
            for stream in streams:
                os.close(stream)


def _tell_ended(tellers: dict[int, socket.socket]) -> None:
    while tellers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        with tellers.pop(pid) as teller:
            teller.send(code.to_bytes(NUMBER, "big", signed=True))


def _become(asked: bytes, streams: Sequence[int]) -> None:
    """Be the command that was asked for, and end as it does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words, environment = json.loads(asked)
    for to, stream in enumerate(streams):
        os.dup2(stream, to)
        os.close(stream)
    os.environ.clear()  # noqa: TID251 - of a process that begins
    os.environ.update(environment)  # noqa: TID251 - as above
    sys.argv = ["rehearsal", *words]
    code = 1
    try:
        import_module("infra.cli").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - shown as the interpreter shows it
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter does
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Import what commands import, and serve the socket of the first argument."""
    for place, _ in import_module("infra.cli").PLACES.values():
        import_module(f"infra.commands.{place.partition(':')[0]}")
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        serve(asking)


if __name__ == "__main__":
    main()
