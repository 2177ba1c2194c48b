"""Read tables of experiments that were made, on a database, with what recorded them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from infra.operations.projections import ProjectionOperations
from infra.postgres.blobs import PostgresBlobs
from infra.postgres.pool import Pool, open_pool
from projections.catalogue import EXPERIMENTS
from projections.runner import GroupRunner
from tests.builders import new_id
from tests.postgres_ladder import Database
from tests.services.work.floor import Floor


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A system in memory, and its read tables."""

    floor: Floor
    database: Database
    pool: Pool

    @property
    def operations(self) -> ProjectionOperations:
        """Return what operators do with the tables."""
        return ProjectionOperations(
            pool=self.pool,
            source=self.floor.log,
            groups={EXPERIMENTS.name: EXPERIMENTS},
            owner=new_id(),
            by="user:ana",
        )

    async def feed(self, *, page: int = 5_000) -> None:
        """Keep the bodies and feed the tables up to the end of the log."""
        app = await open_pool(
            self.database.app, min_size=1, max_size=2, application_name="tests"
        )
        async with app:
            blobs = PostgresBlobs(app)
            for body in self.floor.blobs.contents.values():
                await blobs.put(body, media_type="application/octet-stream")
        runner = GroupRunner(
            EXPERIMENTS, self.floor.log, self.pool, owner=new_id(), page=page
        )
        await runner.catch_up((await self.floor.log.head()).position)

    async def read(self, query: str, *values: object) -> Sequence[Mapping[str, Any]]:
        """Return what a reader of the organisation sees, JSON as what it says."""
        connection = await asyncpg.connect(
            self.database.reader, server_settings={"search_path": "experiments"}
        )
        try:
            await connection.set_type_codec(
                "jsonb",
                schema="pg_catalog",
                encoder=str,
                decoder=msgspec.json.decode,
            )
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def value(self, query: str, *values: object) -> Any:  # noqa: ANN401 - of any type
        """Return the first column of the first row."""
        rows = await self.read(query, *values)
        return next(iter(rows[0].values()))
