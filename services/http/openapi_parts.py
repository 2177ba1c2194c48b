"""What descriptions of routes have in common: parameters, answers and problems."""

from typing import Any, Final

from services.http import playgrounds
from services.problems import PROBLEMS, slug


Schema = dict[str, Any]

JSON: Final = "application/json"
REPORTED: Final = ("malformed", "missing", "refused", "not-acceptable", "too-large")
REFERENCE: Final = "#/components/schemas/{name}"
MESSAGE: Final[Schema] = {
    "type": "object",
    "description": "A message of a stream of server-sent events",
    "properties": {
        "id": {"type": "string", "description": "Where the stream goes on after it"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": JSON},
    },
    "required": ["data"],
}


def reference(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": REFERENCE.format(name=name)}


def parameter(
    name: str, schema: Schema, description: str, *, place: str = "query"
) -> Schema:
    """Return a parameter; one of the path is required."""
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def answers(*slugs: str) -> Schema:
    """Return the problems that a route can answer, besides those that all can."""
    kinds = {slug(kind): str(found.status) for kind, found in PROBLEMS.items()}
    return {
        kinds[name]: {"$ref": f"#/components/responses/{name}"}
        for name in (*slugs, "unauthenticated", "forbidden", "defect", "unavailable")
    }


def at_position() -> Schema:
    """Return the header that says what an answer rests on."""
    return {
        playgrounds.POSITION: {
            "description": "The position of the log that it is of",
            "schema": {"type": "integer"},
        }
    }
