"""The port to where populations are made: another process, so that none stays large."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.engines.population.chunks import Begin, MadeChunk


class Population(Protocol):
    """A run that is under way."""

    async def run(self, until: int) -> MadeChunk:
        """Go on until a step, or until nobody lives."""
        ...


class Populations(Protocol):
    """Makes runs; as many at a time as the machine has cores for."""

    def opened(self, begin: Begin) -> AbstractAsyncContextManager[Population]:
        """Lend a place to make a run in, once one is free."""
        ...
