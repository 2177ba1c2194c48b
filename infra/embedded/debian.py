"""Programs that Debian's packages bring, installed as root and never started."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from infra.embedded.account import shared_directory
from infra.settings import SetupError, inherited


POLICY: Final = Path("/usr/sbin/policy-rc.d")
NEVER: Final = "#!/bin/sh\nexit 101\n"


def can_install() -> bool:
    """Say whether packages can be installed here: by root, with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str, recommended: bool = True) -> None:
    """Install packages; what of them is a service does not start.

    Raises `SetupError` with apt's last words.
    """
    options = [] if recommended else ["--no-install-recommends"]
    with _alone(), _no_services():
        _apt("update")
        _apt("install", "-y", *options, *packages)


def _apt(*words: str) -> None:
    done = subprocess.run(  # noqa: S603 - fixed words
        ["apt-get", "-qq", *words],  # noqa: S607 - of the machine
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**inherited(), "DEBIAN_FRONTEND": "noninteractive"},
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        message = f"apt-get {words[0]} failed: {last}"
        raise SetupError(message)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other process of ours installs anything."""
    with (shared_directory() / "apt.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _no_services() -> Iterator[None]:
    """Keep packages from starting what they install: the programs alone are wanted."""
    before = POLICY.read_text() if POLICY.exists() else None
    POLICY.write_text(NEVER)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_text(before)
