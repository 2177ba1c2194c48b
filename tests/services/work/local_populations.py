"""Populations made in this process: the port's second implementation."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.engines.population.chunks import Begin, MadeChunk
from services.work.populations import Population


class LocalPopulation:
    """A run that is under way here."""

    def __init__(self, begin: Begin) -> None:
        # The engine is compiled when first asked for, as in the processes that make it.
        from services.engines.population.making import Making  # noqa: PLC0415

        self._making = Making(begin)

    async def run(self, until: int) -> MadeChunk:
        """Go on until a step, or until nobody lives."""
        return self._making.run(until)


class LocalPopulations:
    """Makes runs here, and counts how many were begun."""

    def __init__(self) -> None:
        self.begun = 0

    def opened(self, begin: Begin) -> AbstractAsyncContextManager[Population]:
        """Lend a place to make a run in."""
        return self._opened(begin)

    @asynccontextmanager
    async def _opened(self, begin: Begin) -> AsyncIterator[Population]:
        self.begun += 1
        yield LocalPopulation(begin)
