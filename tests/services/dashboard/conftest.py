"""A stack with pages, and the browser that this machine can offer.

Chromium and its driver are programs of this machine, else (on Debian, as root) what apt
installs. REQUIRE=chromium makes it an error that there are none.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from infra.clock import new_id
from infra.embedded.debian import can_install, install
from infra.postgres.pool import open_pool
from projections.builds import ensure
from projections.catalogue import PLAYGROUNDS
from projections.runner import GroupRunner
from services.http.reading import PoolReader
from tests.postgres_ladder import Database
from tests.services.http.world import World, open_world


PROGRAMS = ("chromium", "chromedriver")


@dataclass(kw_only=True)
class Site:
    """An interface with pages, whose tables follow its log."""

    world: World

    @property
    def url(self) -> str:
        return self.world.url


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        app = await open_pool(
            database.app, min_size=1, max_size=4, application_name="tests"
        )
        await stack.enter_async_context(app)
        projector = await open_pool(
            database.projector, min_size=1, max_size=3, application_name="tests"
        )
        await stack.enter_async_context(projector)
        async with projector.acquire() as connection, connection.transaction():
            await ensure(connection, PLAYGROUNDS)

        async def caught_up(_group: str, position: int, _seconds: float) -> int:
            return await runner.catch_up(position)

        world = await stack.enter_async_context(
            open_world(reader=PoolReader(app), caught_up=caught_up)
        )
        runner = GroupRunner(PLAYGROUNDS, world.log, projector, owner=new_id())
        yield Site(world=world)


@pytest.fixture(scope="session")
def programs() -> tuple[str, str]:
    """Return where Chromium and its driver are."""
    if None in map(shutil.which, PROGRAMS) and can_install():
        install("chromium", "chromium-driver", recommended=False)
    found = [shutil.which(name) for name in PROGRAMS]
    if None in found:
        reason = "no Chromium here, and apt cannot install it"
        if "chromium" in os.environ.get("REQUIRE", "").split(","):  # noqa: TID251 - of the tests
            pytest.fail(reason)
        pytest.skip(reason)
    return str(found[0]), str(found[1])


@pytest.fixture
def browser(programs: tuple[str, str]) -> Iterator[Chrome]:
    chromium, driver = programs
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    ):
        options.add_argument(flag)
    opened = Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(60)
    opened.implicitly_wait(10)
    yield opened
    opened.quit()
