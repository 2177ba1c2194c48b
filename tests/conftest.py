"""What every test may ask for: a database of its own on the PostgreSQL of the session.

REQUIRE=postgres makes it an error that no full PostgreSQL can be had.
"""

import gc
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from infra.kernels import VARIABLE, kernel_directory
from infra.populations import cores
from tests.postgres_ladder import Database, Rung, Servers, ladder


# Thousands of tests are objects that stay: looking for garbage among them takes long.
gc.set_threshold(50_000, 10, 10)

RUNGS = pytest.StashKey[list[Rung]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "every_postgres: runs on the embedded PostgreSQL too"
    )
    config.addinivalue_line("markers", "durable: runs on a server that flushes commits")
    config.addinivalue_line("markers", "furnished: on a database with the read tables")
    rungs = ladder(_environment("REHEARSAL_TEST_POSTGRES"), _environment("DOCKER_HOST"))
    required = (_environment("REQUIRE") or "").split(",")
    if "postgres" in required and not rungs[0].full:
        message = (
            "REQUIRE=postgres, and there is none: give REHEARSAL_TEST_POSTGRES, "
            "start a Docker daemon or install PostgreSQL"
        )
        raise pytest.UsageError(message)
    config.stash[RUNGS] = rungs
    if config.cache is not None:
        kernels = kernel_directory(config.cache.mkdir("kernels"))
        os.environ.setdefault(VARIABLE, str(kernels))  # noqa: TID251 - read by numba


def pytest_xdist_auto_num_workers() -> int:
    """Run more tests at a time than there are cores: some wait for others to die."""
    return cores() + 1


def pytest_report_header(config: pytest.Config) -> str:
    best, *others = config.stash[RUNGS]
    also = "".join(f"; tests of every_postgres also on {rung.name}" for rung in others)
    return f"postgres: {best.name}{also}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells = sum(
        int(str(value))
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "cells"
    )
    if cells:
        terminalreporter.write_line(f"access matrix: {cells} cells as declared")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" not in metafunc.fixturenames:
        return
    if metafunc.definition.get_closest_marker("every_postgres"):
        rungs = metafunc.config.stash[RUNGS]
        names = [rung.name.replace(" ", "-") for rung in rungs]
        metafunc.parametrize("database", rungs, indirect=True, ids=names)


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    async with AsyncExitStack() as stack:
        yield Servers(stack)


@pytest.fixture
async def database(
    request: pytest.FixtureRequest, servers: Servers
) -> AsyncIterator[Database]:
    """A migrated database that no one has used, dropped after the test."""
    rung = getattr(request, "param", request.config.stash[RUNGS][0])
    kept, furnished = (
        request.node.get_closest_marker(name) is not None
        for name in ("durable", "furnished")
    )
    async with servers.database(rung, durable=kept, furnished=furnished) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def compiled() -> None:
    """The engine of populations, as machine code."""
    from tests.compiled import compile_once  # noqa: PLC0415 - heavy

    compile_once()


def _environment(name: str) -> str | None:
    return os.environ.get(name)  # noqa: TID251 - how tests run is no setting of the system
