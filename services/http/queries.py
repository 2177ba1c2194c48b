"""The query grammar of read tables, and the one statement that each query becomes.

    column=value            equal; also column.eq
    column.ne, .gt, .gte, .lt, .lte
    column.in=a,b,c         one of up to 100
    column.like=*text*      text, * for anything, upper and lower case alike
    column.null=true|false
    column.has=key          a key of a JSON object or an element of an array
    sort=column, -column    an indexed column; the key breaks ties
    fields=a,b  limit=N  cursor=...

Names come from the table's declaration, values are bound: nothing of a request is ever
part of a statement.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from events.errors import Malformed
from projections.projection import Column, Table
from services.http import cursors, values
from services.http.limits import Limits
from services.parameters import integer, printable


RESERVED: Final = frozenset({"sort", "fields", "limit", "cursor", "min_position"})
REASON: Final = "reason"
SEAL: Final = "sealed_for"
CHOICES: Final = 100
COMPARISONS: Final[Mapping[str, str]] = {
    "eq": "=",
    "ne": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A statement, what to bind, and how its rows are read.

    `columns` are shown; `order` are the columns whose values a cursor holds. `limit`
    rows are a page; the statement returns one more where there is a next page.
    """

    sql: str
    args: tuple[object, ...]
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    asked: str
    limit: int


def columns_of(table: Table) -> tuple[Column, ...]:
    """Return what a table's view shows."""
    return (*table.columns, *table.view_columns)


def operators_of(column: Column) -> tuple[str, ...]:
    """Return the operators that a column can be asked with."""
    return (*values.kind_of(column).operators, "null")


def sortable(table: Table) -> tuple[str, ...]:
    """Return the columns that rows can be sorted by: those that an index orders.

    An index that starts with the organisation orders by its second column.
    """
    names = {column.name for column in table.columns}
    first = [table.shown_key[0]]
    for index in table.indexes:
        if index.method == "btree" and index.where is None:
            leading = [name for name in index.columns if name != "org_id"][:1]
            first += [name for name in leading if name in names]
    return tuple(dict.fromkeys(first))


def listing(
    table: Table, parameters: Mapping[str, str], *, secret: bytes, limits: Limits
) -> Query:
    """Return the query for a page of rows, or raise `Malformed`."""
    columns = {column.name: column for column in columns_of(table)}
    binder = _Binder()
    filters = sorted(
        (name, value)
        for name, value in parameters.items()
        if name not in {*RESERVED, REASON}
    )
    conditions = [
        _condition(columns, name, value, binder.bind) for name, value in filters
    ]
    sort = parameters.get("sort", table.shown_key[0])
    descending = sort.startswith("-")
    leading = sort.removeprefix("-")
    if leading not in sortable(table):
        message = f"Rows are sorted by one of {', '.join(sortable(table))}."
        raise Malformed(message, path="query.sort")
    order = tuple(dict.fromkeys((leading, *table.shown_key)))
    shown = _shown(columns, parameters.get("fields"))
    limit = _limit(parameters.get("limit"), limits)
    asked = cursors.fingerprint(table.schema, table.name, sort, order, filters)
    if "cursor" in parameters:
        ended = cursors.unseal(secret, asked, parameters["cursor"])
        after = [
            None if text is None else values.kind_of(columns[name]).read(text, "query")
            for name, text in zip(order, ended, strict=True)
        ]
        conditions.append(
            _beyond([columns[name] for name in order], after, descending, binder.bind)
        )
    direction = " DESC" if descending else ""
    selected = dict.fromkeys((*shown, *order, *_whose(columns, shown)))
    clauses = [
        "SELECT\n    " + ",\n    ".join(_selected(columns[name]) for name in selected),
        f"FROM {_quoted(table.schema)}.{_quoted(table.name)}",
        *_where(conditions),
        "ORDER BY " + ", ".join(f"{_quoted(name)}{direction}" for name in order),
        f"LIMIT {binder.bind(limit + 1, 'bigint')}",
    ]
    return Query(
        sql="\n".join(clauses),
        args=tuple(binder.args),
        columns=tuple(columns[name] for name in shown),
        order=order,
        asked=asked,
        limit=limit,
    )


def single(table: Table, key: str, parameters: Mapping[str, str]) -> Query:
    """Return the query for one row; a key of several columns is joined by commas."""
    columns = {column.name: column for column in columns_of(table)}
    parts = key.split(",", len(table.shown_key) - 1)
    if len(parts) != len(table.shown_key):
        message = f"The key is {','.join(table.shown_key)}."
        raise Malformed(message, path="path.id")
    binder = _Binder()
    conditions = []
    for name, part in zip(table.shown_key, parts, strict=True):
        value = values.kind_of(columns[name]).read(part, "path.id")
        place = binder.bind(value, columns[name].type)
        conditions.append(f"{_quoted(name)} = {place}")
    shown = _shown(columns, parameters.get("fields"))
    selected = dict.fromkeys((*shown, *_whose(columns, shown)))
    clauses = [
        "SELECT\n    " + ",\n    ".join(_selected(columns[name]) for name in selected),
        f"FROM {_quoted(table.schema)}.{_quoted(table.name)}",
        *_where(conditions),
    ]
    return Query(
        sql="\n".join(clauses),
        args=tuple(binder.args),
        columns=tuple(columns[name] for name in shown),
        order=(),
        asked="",
        limit=1,
    )


def _whose(columns: Mapping[str, Column], shown: tuple[str, ...]) -> tuple[str, ...]:
    """Return the column that says of whom the text is that is shown, if some is."""
    return (SEAL,) if any(columns[name].personal for name in shown) else ()


class _Binder:
    """Numbers the arguments of a statement."""

    def __init__(self) -> None:
        self.args: list[object] = []

    def bind(self, value: object, kind: str) -> str:
        self.args.append(value)
        return f"${len(self.args)}::{kind}"


_Bind = Callable[[object, str], str]


def _condition(
    columns: Mapping[str, Column], name: str, value: str, bind: _Bind
) -> str:
    column, operator = _asked(columns, name)
    kind = values.kind_of(column)
    path = f"query.{name}"
    quoted = _quoted(column.name)
    match operator:
        case "null":
            wanted = values.KINDS["boolean"].read(value, path)
            return f"{quoted} IS NULL" if wanted else f"{quoted} IS NOT NULL"
        case "in":
            texts = value.split(",")
            if len(texts) > CHOICES:
                message = f"At most {CHOICES} values are taken."
                raise Malformed(message, path=path)
            chosen = [kind.read(text, path) for text in texts]
            return f"{quoted} = ANY({bind(chosen, f'{column.type}[]')})"
        case "like":
            escaped = value.replace("\\", "\\\\").replace("%", "\\%")
            pattern = escaped.replace("_", "\\_").replace("*", "%")
            return f"{quoted} ILIKE {bind(pattern, 'text')}"
        case "has" if kind.json:
            return f"{quoted} ? {bind(value, 'text')}"
        case "has":
            return f"{quoted} @> ARRAY[{bind(value, 'text')}]"
        case _:
            place = bind(kind.read(value, path), column.type)
            return f"{quoted} {COMPARISONS[operator]} {place}"


def _asked(columns: Mapping[str, Column], name: str) -> tuple[Column, str]:
    """Return the column and the operator that a parameter names."""
    head, _, operator = name.partition(".")
    column = columns.get(head)
    if column is None:
        message = f"There is no column {printable(head)}."
        raise Malformed(message, path="query")
    operator = operator or "eq"
    if operator not in operators_of(column):
        known = ", ".join(operators_of(column))
        message = f"The column {head} is asked with one of {known}."
        raise Malformed(message, path="query")
    return column, operator


def _shown(columns: Mapping[str, Column], fields: str | None) -> tuple[str, ...]:
    if fields is None:
        return tuple(columns)
    names = tuple(dict.fromkeys(fields.split(",")))
    for name in names:
        if name not in columns:
            message = f"There is no column {printable(name)}."
            raise Malformed(message, path="query.fields")
    return names


def _limit(asked: str | None, limits: Limits) -> int:
    if asked is None:
        return limits.default_rows
    limit = integer(asked, "query.limit", most=limits.page_rows)
    if limit == 0:
        raise Malformed("A page has at least one row.", path="query.limit")
    return limit


def _beyond(
    order: list[Column],
    after: list[object],
    descending: bool,  # noqa: FBT001 - the direction of the order
    bind: _Bind,
) -> str:
    """Return the condition for rows after the last one, as PostgreSQL orders NULL.

    NULL comes last, and first where the order descends. Without NULL, which a key never
    is, the condition is one comparison of rows, which an index answers.
    """
    sign = "<" if descending else ">"
    first, *rest = order
    if not rest or not (first.nullable or first.visible):
        names = ", ".join(_quoted(column.name) for column in order)
        places = ", ".join(
            bind(value, column.type) for column, value in zip(order, after, strict=True)
        )
        return f"({names}) {sign} ({places})"
    name = _quoted(first.name)
    names = ", ".join(_quoted(column.name) for column in rest)
    places = ", ".join(
        bind(value, column.type) for column, value in zip(rest, after[1:], strict=True)
    )
    tie = f"({names}) {sign} ({places})"
    if after[0] is None:
        tied = f"({name} IS NULL AND {tie})"
        return f"({name} IS NOT NULL OR {tied})" if descending else tied
    place = bind(after[0], first.type)
    nulls = "" if descending else f" OR {name} IS NULL"
    return f"({name} {sign} {place} OR ({name} = {place} AND {tie}){nulls})"


def _where(conditions: list[str]) -> list[str]:
    return [
        f"{'AND' if number else 'WHERE'} {condition}"
        for number, condition in enumerate(conditions)
    ]


def _selected(column: Column) -> str:
    quoted = _quoted(column.name)
    kind = values.kind_of(column)
    if kind.json or not kind.operators:
        return f"{quoted}::text AS {quoted}"
    return quoted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
