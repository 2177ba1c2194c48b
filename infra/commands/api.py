"""The command that runs the API alone: api."""

from typing import Annotated

from cyclopts import Parameter

from infra.api import serve_api
from infra.commands.shared import OK, Where, run
from infra.wiring import database


def api(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    http_port: Annotated[int | None, Parameter(help="Port of the API.")] = None,
    admin_port: Annotated[
        int | None, Parameter(help="Port of health, metrics.")
    ] = None,
) -> int:
    """Run the HTTP role alone."""
    settings = where.settings(http_port=http_port, admin_port=admin_port)

    async def work() -> int:
        async with database(settings) as urls:
            await serve_api(settings, urls)
        return OK

    return run(where, work, logging=settings)
