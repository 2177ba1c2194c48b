"""Rows as JSON, as lines of JSON, and as CSV that a spreadsheet cannot run."""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Final

import msgspec

from projections.projection import Column
from services.http import values
from services.http.reading import Row


JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
OFFERED: Final = (JSON, NDJSON, CSV)

# OWASP, "CSV Injection"; a spreadsheet may read full-width forms as the plain ones.
_FORMULA: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
_encoder: Final = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def plain(row: Row, columns: Sequence[Column]) -> dict[str, object]:
    """Return a row's shown columns, JSON columns as the JSON that they hold."""
    shown: dict[str, object] = {}
    for column in columns:
        value = row[column.name]
        if value is not None and values.kind_of(column).json:
            value = msgspec.Raw(value.encode())
        shown[column.name] = value
    return shown


def as_json(value: object) -> bytes:
    """Return a value's JSON."""
    return _encoder.encode(value)


def as_lines(rows: Sequence[dict[str, object]]) -> bytes:
    """Return rows as JSON, one a line."""
    return _encoder.encode_lines(rows)


def as_csv(rows: Sequence[Row], columns: Sequence[Column]) -> bytes:
    """Return rows as CSV under a line of names.

    NULL is empty. Text that a spreadsheet would run as a formula gets a quote before.
    """
    names = [column.name for column in columns]
    return csv_lines([names, *([row[name] for name in names] for row in rows)])


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return lines of CSV whose text a spreadsheet does not run."""
    page = StringIO(newline="")
    csv.writer(page).writerows([_cell(value) for value in row] for row in rows)
    return page.getvalue().encode()


def _cell(value: object) -> str | None:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, list):
        return _cell(as_json(value).decode())
    return values.as_text(value)
