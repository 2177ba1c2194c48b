"""A data directory: locked by its owner, shared with the server's user.

Root's folders are closed to the user that a server runs as; what the server needs then
stands elsewhere, and a link leads there.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.account import Account, server_account, shared_directory
from infra.settings import SetupError


def prepared(data_dir: Path) -> Path:
    """Return a data directory's absolute path, made where it was not there."""
    data_dir = data_dir.expanduser().absolute()
    try:
        if not data_dir.exists():
            data_dir.mkdir(parents=True)
            # As root the server's user has to pass, and may see no more.
            data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        (data_dir / "lock").touch()
    except OSError as error:
        message = f"the data directory {data_dir} cannot be used: {error.strerror}"
        raise SetupError(message) from None
    return data_dir


@contextmanager
def locked(file: Path, *, shared: bool = False) -> Iterator[bool]:
    """Yield whether a lock was free; it is ours until the end if it was."""
    with file.open("rb") as lock:
        try:
            fcntl.flock(
                lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
            )
            free = True
        except BlockingIOError:
            free = False
        yield free


def place(here: Path, account: Account) -> Path:
    """Return where a server's folder is, or will be; its parent exists."""
    if here.exists() or account.may_enter(here.parent):
        return here.resolve()
    if not here.is_symlink():
        apart = Path(tempfile.mkdtemp(prefix="stack-", dir=shared_directory()))
        apart.chmod(0o711)
        here.symlink_to(apart / here.name)
    target = here.readlink()
    if not target.parent.exists():
        message = (
            f"{here} leads to {target}, which is gone; restore it or remove the link"
        )
        raise SetupError(message)
    return target


def owner_of(folder: Path) -> Account:
    """Return whose a server's folder is, or who it is to be made for."""
    if os.geteuid() == 0 and folder.exists():
        status = folder.stat()
        return Account(status.st_uid, status.st_gid)
    return server_account()


def write(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file whole: a reader sees the old content or the new."""
    making = path.with_name(f"{path.name}.making")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)
