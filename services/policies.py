"""Who may do and see what, as one document: written from the tables that decide it."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from events.message import Command
from events.roles import ROLES
from projections.projection import Table
from services.guard import Permission, area_of


HEAD: Final = """\
# Who may do and see what

Written by `rehearsal policies --markdown` from the tables that decide it.

A role is held in one area, as `testing:user`, or in every area, as `user`. A command
takes one of its roles in its own area. *Own* means: for themselves, without any role.
"""

ROWS: Final = """\

## Rows of the read tables

Row-level security shows a row to whom its predicate holds for, whichever way they read:
over HTTP, in `rehearsal sql`, or with a login of their own. Unless a table is open to
everyone, it takes a role in its area besides. A column with a predicate of its own
reads as NULL to others, and what people said as `[sealed]`: it is opened over HTTP,
where who reads it and why is recorded before (`access.opened()`), and in no SQL.
"""


class CommandPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask for a command."""

    command: str
    area: str
    roles: list[str]
    scopes: list[str]
    own: bool


class TablePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who sees which rows of a read table, and which columns not all of them see."""

    table: str
    everyone: bool
    rows: str
    columns: dict[str, str]


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Every command and every read table, by name."""

    commands: list[CommandPolicy]
    tables: list[TablePolicy]


def policies(
    commands: Mapping[str, type[Command]],
    permissions: Mapping[type[Command], Permission],
    tables: Mapping[str, Table],
) -> Policies:
    """Return who may do and see what; a command that nobody may ask for is left out."""
    return Policies(
        commands=[
            _command(name, kind, permissions[kind])
            for name, kind in sorted(commands.items())
            if kind in permissions
        ],
        tables=[_table(name, table) for name, table in sorted(tables.items())],
    )


def markdown(found: Policies) -> str:
    """Return the document."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Policies) -> Iterator[str]:
    yield HEAD
    yield "## Commands"
    yield ""
    yield "| command | " + " | ".join(ROLES) + " | own | scopes |"
    yield "|---" * (len(ROLES) + 3) + "|"
    for each in found.commands:
        marks = ["x" if role in each.roles else "" for role in ROLES]
        own = "x" if each.own else ""
        cells = [f"`{each.command}`", *marks, own, ", ".join(each.scopes)]
        yield "| " + " | ".join(cells) + " |"
    yield ROWS
    yield "| table | everyone | rows | columns |"
    yield "|---|---|---|---|"
    for shown in found.tables:
        columns = "; ".join(
            f"{name}: `{_cell(predicate)}`" for name, predicate in shown.columns.items()
        )
        everyone = "x" if shown.everyone else ""
        yield f"| `{shown.table}` | {everyone} | `{_cell(shown.rows)}` | {columns} |"


def _cell(predicate: str) -> str:
    return " ".join(predicate.split()).replace("|", "\\|")


def _command(name: str, kind: type[Command], permission: Permission) -> CommandPolicy:
    return CommandPolicy(
        command=name,
        area=area_of(kind),
        roles=[role for role in ROLES if role in permission.roles],
        scopes=sorted(permission.scopes),
        own=permission.own,
    )


def _table(name: str, table: Table) -> TablePolicy:
    return TablePolicy(
        table=name,
        everyone=table.everyone,
        rows=table.rows,
        columns={
            column.name: column.visible
            for column in table.columns
            if column.visible is not None
        },
    )
