"""The SQL types that read tables have, as query text, as JSON, and in a schema."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import msgspec

from events.errors import Malformed
from projections.projection import Column
from services import parameters


EQUAL: Final = ("eq", "ne", "in")
ORDERED: Final = (*EQUAL, "gt", "gte", "lt", "lte")


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A SQL type at this edge.

    `read` turns query text into a value to bind; `operators` are those that a column
    of the type can be asked with, besides `null`; `schema` is its JSON Schema.
    """

    read: Callable[[str, str], object]
    operators: tuple[str, ...]
    schema: Mapping[str, object]
    json: bool = False


def kind_of(column: Column) -> Kind:
    """Return the kind of a column's type; an unknown type is shown as text only."""
    return _kind_of_type(column.type)


@cache
def _kind_of_type(declared: str) -> Kind:
    name = re.sub(r"\(.*\)", "", declared).strip().lower()
    return KINDS.get(name, _OPAQUE)


def as_text(value: object) -> str | None:
    """Return a value as the query text that reads as the same value."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case datetime() | date():
            return value.isoformat()
        case float():
            return repr(value)
        case _:
            return str(value)


def _whole(value: str, path: str, *, bits: int) -> int:
    most = 1 << (bits - 1)
    if not re.fullmatch(r"-?[0-9]{1,19}", value) or not -most <= int(value) < most:
        message = f"This is no integer of {bits} bits."
        raise Malformed(message, path=path)
    return int(value)


def _boolean(value: str, path: str) -> bool:
    if value not in {"true", "false"}:
        raise Malformed("This is neither true nor false.", path=path)
    return value == "true"


def _float(value: str, path: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Malformed("This is no finite number.", path=path)
    return number


def _decimal(value: str, path: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or len(value) > 100 or abs(number.adjusted()) > 1_000:  # noqa: PLR2004 - far inside what numeric holds
        raise Malformed("This is no number that numeric holds.", path=path)
    return number


def _date(value: str, path: str) -> date:
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise Malformed("This is no date as in 2026-05-01.", path=path) from None


def _address(value: str, path: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(value)
    except ValueError:
        raise Malformed("This is no network address.", path=path) from None


_INTEGER: Final[Mapping[str, object]] = {"type": "integer"}
_NUMBER: Final[Mapping[str, object]] = {"type": "number"}
_OPAQUE: Final = Kind(read=parameters.text, operators=(), schema={"type": "string"})
_JSON: Final = Kind(read=parameters.text, operators=("has",), schema={}, json=True)
_TEXT: Final = Kind(
    read=parameters.text, operators=(*ORDERED, "like"), schema={"type": "string"}
)
_MOMENT: Final = Kind(
    read=parameters.moment,
    operators=ORDERED,
    schema={"type": "string", "format": "date-time"},
)
_FLOAT: Final = Kind(read=_float, operators=ORDERED, schema=_NUMBER)

KINDS: Final[Mapping[str, Kind]] = {
    "text": _TEXT,
    "varchar": _TEXT,
    "character varying": _TEXT,
    "uuid": Kind(
        read=parameters.identifier,
        operators=ORDERED,
        schema={"type": "string", "format": "uuid"},
    ),
    "smallint": Kind(read=partial(_whole, bits=16), operators=ORDERED, schema=_INTEGER),
    "integer": Kind(read=partial(_whole, bits=32), operators=ORDERED, schema=_INTEGER),
    "int": Kind(read=partial(_whole, bits=32), operators=ORDERED, schema=_INTEGER),
    "bigint": Kind(read=partial(_whole, bits=64), operators=ORDERED, schema=_INTEGER),
    "boolean": Kind(read=_boolean, operators=EQUAL, schema={"type": "boolean"}),
    "real": _FLOAT,
    "double precision": _FLOAT,
    "numeric": Kind(read=_decimal, operators=ORDERED, schema=_NUMBER),
    "date": Kind(
        read=_date, operators=ORDERED, schema={"type": "string", "format": "date"}
    ),
    "timestamptz": _MOMENT,
    "timestamp with time zone": _MOMENT,
    "inet": Kind(read=_address, operators=EQUAL, schema={"type": "string"}),
    "jsonb": _JSON,
    "json": Kind(read=parameters.text, operators=(), schema={}, json=True),
    "text[]": Kind(
        read=parameters.text,
        operators=("has",),
        schema={"type": "array", "items": {"type": "string"}},
    ),
}
