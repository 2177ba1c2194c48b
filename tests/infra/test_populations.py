"""Populations in processes of their own: the same bytes, and nothing left behind."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numba
import psutil
import pytest

from events.experiments.common import Capture
from infra.populations import (
    PopulationProcessError,
    ProcessPopulations,
    kernels_in,
    open_populations,
)
from infra.settings import load_settings
from services.engines.population.chunks import Begin
from services.engines.population.configuration import Configuration
from services.engines.population.making import Making


BEGIN = Begin(
    configuration=msgspec.to_builtins(Configuration()), seed=7, capture=Capture()
)


@pytest.fixture
async def populations() -> AsyncIterator[ProcessPopulations]:
    kept = Path(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    made = ProcessPopulations(size=2, kernels=kept)
    yield made
    await made.close()


def children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "infra.population_child" in child.cmdline()
    ]


async def test_a_process_makes_what_the_engine_makes(
    populations: ProcessPopulations,
) -> None:
    making = Making(BEGIN)
    async with populations.opened(BEGIN) as population:
        for until in (10, 25):
            assert await population.run(until) == making.run(until)


async def test_a_run_goes_on_in_another_process(
    populations: ProcessPopulations,
) -> None:
    async with populations.opened(BEGIN) as population:
        first = await population.run(10)
        rest = await population.run(20)
    later = msgspec.structs.replace(BEGIN, checkpoint=first.checkpoint.opened())
    async with (
        populations.opened(BEGIN) as busy,
        populations.opened(later) as other,
    ):
        await busy.run(1)
        assert await other.run(20) == rest


async def test_processes_are_used_again(populations: ProcessPopulations) -> None:
    for _ in range(3):
        async with populations.opened(BEGIN) as population:
            await population.run(5)

    assert len(children()) == 1


async def test_no_more_are_made_at_a_time_than_there_are_places(
    populations: ProcessPopulations,
) -> None:
    async def make() -> str:
        async with populations.opened(BEGIN) as population:
            return (await population.run(20)).state_hash

    hashes = await asyncio.gather(*(make() for _ in range(6)))
    assert len(set(hashes)) == 1
    assert len(children()) == 2


async def test_a_process_that_is_killed_fails_its_run_and_no_other(
    populations: ProcessPopulations,
) -> None:
    async with populations.opened(BEGIN) as population:
        await population.run(5)
        (child,) = children()
        child.send_signal(signal.SIGKILL)
        with pytest.raises(PopulationProcessError, match="ended"):
            await population.run(10)
    async with populations.opened(BEGIN) as population:
        assert (await population.run(10)).last == 10


async def test_a_run_that_was_cancelled_leaves_nothing_half_answered(
    populations: ProcessPopulations,
) -> None:
    async def make() -> None:
        async with populations.opened(BEGIN) as population:
            await population.run(1_000_000)

    making = asyncio.create_task(make())
    while not children():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    making.cancel()
    await asyncio.wait([making])

    assert making.cancelled()
    async with populations.opened(BEGIN) as population:
        assert (await population.run(3)).last == 3


async def test_what_cannot_be_begun_is_told(populations: ProcessPopulations) -> None:
    broken = msgspec.structs.replace(BEGIN, checkpoint=b"no")
    with pytest.raises(PopulationProcessError, match="no checkpoint"):
        async with populations.opened(broken):
            pass


async def test_processes_end_with_what_opened_them(tmp_path: Path) -> None:
    async with open_populations(tmp_path, size=1) as made:
        broken = made.opened(msgspec.structs.replace(BEGIN, checkpoint=b"no"))
        with pytest.raises(PopulationProcessError):
            await broken.__aenter__()
    assert children() == []


def test_other_sources_have_another_directory(tmp_path: Path) -> None:
    settings = load_settings({"data_dir": tmp_path}, environment={})
    assert kernels_in(settings.data_dir).parent == tmp_path / "kernels"
