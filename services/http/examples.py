"""The simplest object that a JSON Schema allows: what examples are made of."""

import re
from collections.abc import Mapping
from typing import Any, Final


Schema = Mapping[str, Any]

FORMATS: Final[Mapping[str, str]] = {
    "uuid": "01970000-0000-7000-8000-000000000001",
    "date-time": "2026-05-01T12:00:00Z",
}
TEXTS: Final = ("text", "text/plain", "ada@example.org", "0" * 64, "")
"""What a text may be: the first that its pattern allows."""


def example(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Return an object with the required fields of an object's schema.

    `schemas` are the components that references name.
    """
    properties = schema.get("properties", {})
    return {
        name: _sample(properties[name], schemas) for name in schema.get("required", ())
    }


def _sample(schema: Schema, schemas: Mapping[str, Schema]) -> object:
    if "$ref" in schema:
        return _sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "anyOf" in schema:
        return _sample(schema["anyOf"][0], schemas)
    match schema.get("type"):
        case "array":
            items = schema.get("items", {})
            return [_sample(items, schemas)] * schema.get("minItems", 0)
        case "object":
            return example(schema, schemas)
        case _:
            return _scalar(schema)


def _scalar(schema: Schema) -> object:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            return _text(schema)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return None


def _text(schema: Schema) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    pattern = re.compile(schema.get("pattern", ""))
    return next(text for text in TEXTS if pattern.search(text))
