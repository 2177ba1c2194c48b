from collections.abc import AsyncIterator

import pytest

from projections.sql import Pool
from tests.postgres_ladder import Database
from tests.projections.small import projector


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    """A pool of the projector's."""
    async with projector(database) as opened:
        yield opened
