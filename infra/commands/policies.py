"""The command that says who may do and see what."""

import sys
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table as Grid

from infra.commands.shared import OK, Where, answer, screen
from projections.catalogue import TABLES
from services.guard import PERMISSIONS
from services.policies import markdown
from services.policies import policies as policies_of
from services.routing import COMMANDS


def policies(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    document: Annotated[
        bool, Parameter(name="--markdown", negative="", help="Write the document.")
    ] = False,
) -> int:
    """Say who may ask for which command and who sees which rows and columns."""
    found = policies_of(COMMANDS, PERMISSIONS, TABLES)

    def show() -> None:
        if document:
            sys.stdout.write(markdown(found))
            return
        grid = Grid("command", "roles", "own", "scopes")
        for each in found.commands:
            roles, scopes = ", ".join(each.roles), ", ".join(each.scopes)
            grid.add_row(each.command, roles, "yes" if each.own else "", scopes)
        screen.print(grid)
        grid = Grid("table", "rows", "columns that not all see")
        for shown in found.tables:
            grid.add_row(shown.table, shown.rows, ", ".join(shown.columns))
        screen.print(grid)

    answer(where, found, show)
    return OK
