from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.infra.commands.process import Up, folder, rehearsal, started


@pytest.fixture(scope="package")
async def up() -> AsyncIterator[Up]:
    """A stack that runs while the package's tests join it."""
    with folder() as path:
        async with started(path / "data") as stack:
            yield stack
            assert await stack.end(SIGTERM) == 0


@pytest.fixture(scope="package")
async def idle() -> AsyncIterator[Path]:
    """A data directory that was used once and whose stack is stopped."""
    with folder() as path:
        made = await rehearsal("migrate", "--data-dir", path / "data", "--json")
        assert made.code == 0, made
        yield path / "data"
