from collections.abc import AsyncIterator

import pytest

from tests.conftest import RUNGS
from tests.end_to_end.stack import Stack, open_stack
from tests.postgres_ladder import Servers


@pytest.fixture(scope="module")
async def stack(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stack]:
    """A stack for a module, proved whole when the module's tests are done."""
    rung = request.config.stash[RUNGS][0]
    folder = tmp_path_factory.mktemp("stack")
    async with (
        servers.database(rung, durable=False, furnished=True) as database,
        open_stack(database, folder) as opened,
    ):
        yield opened
