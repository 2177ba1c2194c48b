"""The least that a web service can do: decode a body, insert one row, answer.

aiohttp on uvloop, one process, a pool of connections that are not reset.
"""

import argparse
from itertools import count
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from infra.clock import new_id, now
from tests.bench.workload import ACTOR, COLUMNS, ORG, REGION


POOL: Final = 8
INSERT: Final = (
    f"INSERT INTO bench.events ({', '.join(COLUMNS)}) "  # noqa: S608 - constants
    f"VALUES (nextval('bench.positions'), "
    f"{', '.join(f'${n}' for n in range(1, len(COLUMNS)))})"
)


class Body(msgspec.Struct, frozen=True, kw_only=True, tag="testing.AddPersonaVersion"):
    """The command as it comes."""

    persona_id: UUID
    background: str
    preferred_language: str
    timezone: str


decoder: Final = msgspec.json.Decoder(Body)
encode: Final = msgspec.json.Encoder().encode


async def _keep(_connection: object) -> None:
    """Leave the session as it is."""


async def make_app(address: str) -> web.Application:
    """Return the application, connected."""
    pool: Any = await asyncpg.create_pool(
        address, min_size=POOL, max_size=POOL, reset=_keep
    )
    versions = count(1)

    async def post(request: web.Request) -> web.Response:
        body = decoder.decode(await request.read())
        command_id = UUID(request.headers["Idempotency-Key"])
        moment, version = now(), next(versions)
        await pool.execute(
            INSERT,
            f"testing.persona-{body.persona_id}",
            version,
            new_id(),
            5,
            ORG,
            REGION,
            command_id,
            command_id,
            None,
            ACTOR,
            request.remote,
            moment,
            moment,
            encode(body).decode(),
            None,
            None,
            bytes(32),
        )
        return web.Response(
            body=encode({"command_id": command_id, "version": version}),
            content_type="application/json",
        )

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/v1/commands", post), web.get("/", ready)])
    return app


async def main() -> None:
    """Serve as the command line says, until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    app = await make_app(given.postgres)
    await web._run_app(  # noqa: SLF001 - run_app makes a loop of its own
        app, host="127.0.0.1", port=given.port, access_log=None, print=None
    )


if __name__ == "__main__":
    uvloop.run(main())
