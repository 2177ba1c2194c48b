"""The routes of playgrounds, as OpenAPI describes them."""

from services.http import formats, playgrounds
from services.http.limits import Limits
from services.http.openapi_parts import (
    JSON,
    Schema,
    answers,
    at_position,
    parameter,
    reference,
)
from services.playgrounds.statistics.records import Options


def playground_paths(limits: Limits) -> Schema:
    """Return the routes beside the tables."""
    return {
        "/v1/playgrounds/{id}/statistics": {"get": _get_statistics()},
        "/v1/playgrounds/{id}/exports/{shape}": {"get": _get_export(limits)},
    }


def _of_playground() -> list[Schema]:
    uuid: Schema = {"type": "string", "format": "uuid"}
    position: Schema = {"type": "integer", "minimum": 0}
    wait = "Wait until the read tables are at this position"
    return [
        parameter("id", uuid, "The playground", place="path"),
        parameter("min_position", position, wait),
    ]


def _get_statistics() -> Schema:
    confidence: Schema = {
        "type": "number",
        "minimum": playgrounds.LEAST_CONFIDENCE,
        "maximum": playgrounds.MOST_CONFIDENCE,
        "default": Options().confidence,
    }
    draws: Schema = {
        "type": "integer",
        "minimum": playgrounds.LEAST_DRAWS,
        "maximum": playgrounds.MOST_DRAWS,
        "default": Options().draws,
    }
    seed: Schema = {"type": "integer", "minimum": 0, "default": Options().seed}
    ties: Schema = {
        "type": "string",
        "enum": ["davidson", "rao-kupper"],
        "default": Options().ties,
    }
    return {
        "tags": ["playgrounds"],
        "operationId": "get_playground_statistics",
        "summary": "What a playground's evaluations say",
        "description": "For its owner and admins. Sample ratio, exposure, attrition, "
        "options and ratings with intervals, comparisons with corrected p-values, "
        "preferences, rankings, agreement; each result says its n, its method and its "
        "position of the log. The same position and options give the same answer.",
        "parameters": [
            *_of_playground(),
            parameter("confidence", confidence, "Confidence of intervals"),
            parameter("draws", draws, "Draws of resampling"),
            parameter("seed", seed, "Seed of resampling"),
            parameter("ties", ties, "How ties enter rankings"),
        ],
        "responses": {
            "200": {
                "description": "The statistics",
                "headers": at_position(),
                "content": {JSON: {"schema": reference("Statistics")}},
            },
            **answers("malformed", "missing", "not-acceptable"),
        },
    }


def _get_export(limits: Limits) -> Schema:
    shape: Schema = {"type": "string", "enum": list(playgrounds.SHAPES)}
    return {
        "tags": ["playgrounds"],
        "operationId": "export_playground",
        "summary": "A playground's evaluations in a shape for other tools",
        "description": "For its owner and admins. `long` has a row per answer, `wide` "
        "one per session, `battles` one per two models that a tester compared, "
        "`preferences` one per chosen and rejected model, `codebook` one per question. "
        "It is streamed from one moment; a text that a spreadsheet would run gets a "
        f"quote before it in CSV. {limits.exports} are answered at a time.",
        "parameters": [
            *_of_playground(),
            parameter("shape", shape, "The shape", place="path"),
        ],
        "responses": {
            "200": {
                "description": "The rows",
                "headers": at_position(),
                "content": {
                    formats.CSV: {"schema": {"type": "string"}},
                    formats.NDJSON: {"schema": {"type": "string"}},
                },
            },
            **answers("malformed", "missing", "not-acceptable"),
        },
    }
