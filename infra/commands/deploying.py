"""The command that prepares a stack of containers: secrets."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from infra.commands.shared import OK, Where, answer, run, screen
from infra.operations.deploying import make_secrets


def secrets(
    folder: Path,
    *,
    postgres: Annotated[
        str, Parameter(help="Host and port of PostgreSQL, as the roles see it.")
    ] = "postgres:5432",
    rabbitmq: Annotated[
        str, Parameter(help="Host and port of RabbitMQ, as the roles see it.")
    ] = "rabbitmq:5672",
    mounted: Annotated[
        str, Parameter(help="Where the roles find the files.")
    ] = "/run/secrets",
    where: Where = Where(),  # noqa: B008 - frozen
) -> int:
    """Write passwords, keys and each role's settings as files for compose.yaml."""

    async def work() -> int:
        made = make_secrets(
            folder, postgres=postgres, rabbitmq=rabbitmq, mounted=mounted
        )
        answer(
            where,
            {"folder": str(folder), "files": made},
            lambda: screen.print(f"{len(made)} files in {folder}", highlight=False),
        )
        return OK

    return run(where, work)
