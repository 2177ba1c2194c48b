"""A projection: a read table, who may see it, and how events become its rows.

A projection declares one table and a pure `project(batch, rows)` that turns recorded
events, in log order, into changes of rows. The runner merges the changes of a page in
memory, writes them set-based, and moves the checkpoint in the same transaction. So a
projection may use nothing but the events: no clock, no other table, no order that SQL
does not promise; sums are kept in integers. Then a rebuilt table equals the live one.

The table's seed name is a `security_invoker` view over `<name>__v<version>`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from events.message import Event, Recorded


Value = object


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column: its name, its SQL type, and a CHECK expression where it has one.

    `note` describes it to users. `visible` is a SQL predicate over the row under which
    the view shows the value, and NULL otherwise; None shows it to all who see the row.
    `personal` is what people said, sealed by the key that `sealed_for` names: a value
    that the view does not show reads `[sealed]`, where it is text and not missing.
    `default` is a SQL literal for rows that `Rows.add` creates.
    """

    name: str
    type: str
    note: str = ""
    nullable: bool = True
    check: str | None = None
    visible: str | None = None
    default: str | None = None
    personal: bool = False


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index over columns or expressions, for databases with `extension` if named."""

    columns: tuple[str, ...]
    method: str = "btree"
    unique: bool = False
    where: str | None = None
    extension: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A column that holds a key of another read table; `verify` looks for orphans."""

    column: str
    table: str
    target: str = "_id"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A read table, and its policies.

    `rows` is the SQL predicate of row-level security, over the table's columns and
    the functions `access.current_org()`, `access.current_actor()` and
    `access.has_role(area, role)`. Besides, the caller has to have a role in the area
    of the schema, unless the table is `everyone`'s. `view` is the SELECT of the view
    under the seed's name where that is more than the table's own columns; `{table}`
    stands for the table. `view_key` tells the rows of the view apart, where it has
    several for a row of the table, or people know them by other columns.
    `also` are further schemas in which the view stands under the same name.
    `order` is the key that pages follow. `note` describes the table to users.
    """

    schema: str
    name: str
    version: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rows: str
    note: str
    indexes: tuple[Index, ...] = ()
    references: tuple[Reference, ...] = ()
    view: str | None = None
    view_columns: tuple[Column, ...] = ()
    view_key: tuple[str, ...] = ()
    everyone: bool = False
    also: tuple[str, ...] = ()

    @property
    def shown_key(self) -> tuple[str, ...]:
        """Return the columns that tell the rows apart that people query."""
        return self.view_key or self.key

    @property
    def physical(self) -> str:
        """Return the name of the table that holds this version's rows."""
        return f"{self.name}__v{self.version}"


class Rows(Protocol):
    """Collects the changes of a batch; changes of one key apply in the order given."""

    def insert(self, *values: Value) -> None:
        """Insert a row whose key is new, its values in the order of the columns."""
        ...

    def insert_new(self, *values: Value) -> None:
        """Insert a row, its values in the order of the columns, unless it is there."""
        ...

    def patch(self, key: tuple[Value, ...], **values: Value) -> None:
        """Set columns of the row with a key, if it is there."""
        ...

    def add(self, key: tuple[Value, ...], **amounts: int) -> None:
        """Add to integer columns of the row with a key, which is made if missing."""
        ...

    def remove(self, key: tuple[Value, ...]) -> None:
        """Delete the row with a key, if it is there."""
        ...

    def patch_where(self, column: str, value: Value, **values: Value) -> None:
        """Set columns of every row in which an indexed column has a value."""
        ...


Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Filling:
    """Rows that are too many for events: bodies hold them, which the events name.

    `arrange(rows, event)` returns the value of each column but the organisation's, for
    all rows that a body has under `source`: an array, or one value.
    """

    source: str
    arrange: Callable[[Any, Any], Values]


def nothing(_batch: Sequence[Recorded[Event]], _rows: Rows) -> None:
    """Change no row."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A read table and the pure function that fills it.

    With `fill` the rows that its events' bodies hold are copied into the table, in the
    page's transaction and before the batch's other changes.
    """

    table: Table
    events: tuple[type[Event], ...]
    project: Callable[[Sequence[Recorded[Event]], Rows], None] = nothing
    fill: Filling | None = None

    @property
    def name(self) -> str:
        """Return `<schema>.<table>`, under which operators know the projection."""
        return f"{self.table.schema}.{self.table.name}"


@dataclass(frozen=True, kw_only=True)
class Group:
    """The projections of one context: one page, one transaction, one checkpoint."""

    name: str
    projections: tuple[Projection, ...] = field(default=())


Groups = Mapping[str, Group]
