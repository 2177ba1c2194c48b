"""Who a database server runs as: ourselves, or an unprivileged user where we are root.

PostgreSQL refuses to run as root. As root we use the machine's `postgres` user, or
make a `rehearsal` user; nobody's folder permissions are relaxed for it.
"""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.settings import SetupError


USERS = ("postgres", "rehearsal")
SHARED = (Path("/var/lib/rehearsal"), Path("/var/tmp/rehearsal"))  # noqa: S108 - only root uses it, and it is owned by root


@dataclass(frozen=True)
class Account:
    """A user and group of this machine."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Say whether every folder down to this one lets the account through."""
        resolved = folder.resolve()
        return all(map(self._may_pass, (resolved, *resolved.parents)))

    def own(self, path: Path, mode: int) -> None:
        """Give a file or folder to the account."""
        path.chmod(mode)
        os.chown(path, self.uid, self.gid)

    def _may_pass(self, folder: Path) -> bool:
        if self.uid == 0:
            return True
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> Account:
    """Return the account that a server runs as; as root, make it where it misses."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in USERS:
        try:
            return _account(name)
        except KeyError:
            continue
    _make_user(USERS[-1])
    return _account(USERS[-1])


def shared_directory() -> Path:
    """Return a folder of root's that every user may enter, for what must be shared."""
    for folder in SHARED:
        try:
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        except OSError:
            continue
        if folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK):
            folder.chmod(0o711)
            return folder
    message = (
        "the server's user cannot enter the data directory, and neither "
        f"{SHARED[0]} nor {SHARED[1]} can be made; choose another --data-dir"
    )
    raise SetupError(message)


def _account(name: str) -> Account:
    entry = pwd.getpwnam(name)
    return Account(entry.pw_uid, entry.pw_gid)


def _make_user(name: str) -> None:
    if shutil.which("useradd"):
        command = ["useradd", "--system", "--user-group", "--no-create-home", name]
    elif shutil.which("adduser"):
        command = ["adduser", "-S", "-D", "-H", name]
    else:
        message = (
            "a server cannot run as root, and there is no useradd or adduser to make "
            f"a user for it; make a user named {name}, or run as a normal user"
        )
        raise SetupError(message)
    made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    if made.returncode != 0:
        message = f"no user for the server could be made: {made.stderr.strip()}"
        raise SetupError(message)
