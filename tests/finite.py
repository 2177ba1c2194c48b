"""Numbers that are none: JSON would hide them as null."""

from collections.abc import Iterator
from math import isfinite

import msgspec


def not_finite(value: object, path: str = "") -> Iterator[str]:
    """Yield the path of every infinity and NaN inside a result."""
    if isinstance(value, float) and not isfinite(value):
        yield path
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from not_finite(getattr(value, name), f"{path}.{name}")
    if isinstance(value, dict):
        for name, each in value.items():
            yield from not_finite(each, f"{path}.{name}")
    if isinstance(value, list):
        for at, each in enumerate(value):
            yield from not_finite(each, f"{path}[{at}]")
