"""The ladder to a RabbitMQ of one's own: installed, in a container, or from Debian.

A rung tells what it would come to before anything is started or installed.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from infra.embedded import debian
from infra.embedded.docker import IMAGE, docker, rabbit_container
from infra.embedded.rabbit import Programs, installed
from infra.settings import SetupError


PACKAGE: Final = "rabbitmq-server"
REASONS: Final = (
    f"{PACKAGE} is not installed",
    "no Docker daemon answers, or its client is not there",
    "only root can install it, with apt",
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Rung:
    """A way to a broker.

    `programs` finds, or installs, what one of our own is made of; `open` yields the
    address of one that runs elsewhere. One of the two is there.
    """

    name: str
    programs: Callable[[], Programs] | None = None
    open: Callable[[], AbstractAsyncContextManager[str]] | None = None


def ladder() -> Rung | None:
    """Return the first rung of this machine, if there is any."""
    program = docker()
    own = own_programs()
    if program is None or (own is not None and own.name != "apt"):
        return own
    return Rung(f"{IMAGE} in Docker", open=partial(rabbit_container, program))


def own_programs() -> Rung | None:
    """Return how a broker that is our child can be had, if it can."""
    found = installed()
    if found is not None:
        return Rung(f"local {found.version}", programs=lambda: found)
    if debian.can_install():
        return Rung("apt", programs=from_debian)
    return None


def from_debian() -> Programs:
    """Install RabbitMQ from Debian's packages, and return its programs."""
    log.warning("packages_installing", packages=[PACKAGE])
    debian.install(PACKAGE, recommended=False)
    found = installed()
    if found is None:
        message = f"apt installed {PACKAGE}, but its programs are not where they belong"
        raise SetupError(message)
    return found
