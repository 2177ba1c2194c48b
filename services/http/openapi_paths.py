"""The routes as OpenAPI describes them: parameters, bodies, answers and problems."""

from collections.abc import Mapping

from projections.projection import Column, Table
from services.http import blobs, feed, formats, queries, values
from services.http.auth_paths import auth_paths
from services.http.experiment_paths import experiment_paths
from services.http.limits import Limits
from services.http.live import SSE
from services.http.openapi_parts import (
    JSON,
    MESSAGE,
    Schema,
    answers,
    parameter,
    reference,
)
from services.http.playground_paths import playground_paths
from services.http.reading import OPENED
from services.personal import REASON_LENGTH
from services.problems import PROBLEMS, slug


def row_name(table: Table) -> str:
    """Return the name of a table's rows among the schemas."""
    return f"{table.schema}.{table.name}"


def paths(tables: Mapping[str, Table], limits: Limits) -> Schema:
    """Return every route."""
    return {
        "/v1/commands": {"post": _post_commands(limits)},
        **_table_paths(tables, limits),
        "/v1/testing/simulation_unit_test_set_runs/{id}/reliability": {
            "get": _get_reliability()
        },
        "/v1/testing/simulation_unit_test_set_runs/{id}/progress": {
            "get": _get_progress()
        },
        **experiment_paths(),
        **playground_paths(limits),
        **_event_paths(limits),
        **_blob_paths(limits),
        **auth_paths(),
        **_about_paths(),
    }


def _post_commands(limits: Limits) -> Schema:
    uuid: Schema = {"type": "string", "format": "uuid"}
    version: Schema = {"type": "integer", "minimum": 0}
    batch = {
        "type": "array",
        "items": reference("Envelope"),
        "minItems": 1,
        "maxItems": limits.batch_commands,
    }
    headers = [
        ("Idempotency-Key", uuid, "The command's id; required for a single command"),
        ("If-Match", {"type": "string", "pattern": '^"[0-9]{1,19}"$'},
         "The version that the stream must have, in quotes"),
        ("Rehearsal-Expected-Version", version,
         "The same without quotes; 0: the stream must not exist"),
        ("Rehearsal-Correlation-Id", uuid, "What the command belongs to"),
        ("Rehearsal-Causation-Id", uuid, "What caused it"),
        ("Rehearsal-Occurred-At", {"type": "string", "format": "date-time"},
         "When it happened; takes the scope import"),
        ("Rehearsal-On-Behalf-Of", {"type": "string", "pattern": "^user:"},
         "For which user a service asks, as user:ID; takes the scope delegate"),
        ("traceparent", {"type": "string"}, "W3C trace context, kept with the events"),
        ("tracestate", {"type": "string"}, "W3C trace context, kept with the events"),
    ]  # fmt: skip
    return {
        "tags": ["commands"],
        "operationId": "sendCommands",
        "summary": "Send a command, or a batch with a verdict for each",
        "description": f"One command is at most {limits.command_bytes} bytes of JSON "
        f"and its envelope is in the headers. A batch is at most "
        f"{limits.batch_commands} envelopes and {limits.batch_bytes} bytes, as a JSON "
        "array or one a line; it is answered 200 with, in order, an outcome or a "
        "problem document for each.",
        "parameters": [
            parameter(name, schema, text, place="header")
            for name, schema, text in headers
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": {"oneOf": [reference("Command"), batch]}},
                formats.NDJSON: {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "200": {
                "description": "What became of it",
                "headers": {
                    "ETag": {
                        "description": "The stream's version now",
                        "schema": {"type": "string"},
                    }
                },
                "content": {
                    JSON: {
                        "schema": {
                            "oneOf": [
                                reference("Outcome"),
                                {"type": "array", "items": reference("Verdict")},
                            ]
                        }
                    },
                    formats.NDJSON: {"schema": {"type": "string"}},
                },
            },
            **answers(
                "malformed",
                "missing",
                "conflict",
                "too-large",
                "unsupported-media",
                "refused",
            ),
        },
    }


def _table_paths(tables: Mapping[str, Table], limits: Limits) -> Schema:
    found: Schema = {}
    for table in tables.values():
        base = f"/v1/{table.schema}/{table.name}"
        found[base] = {"get": _get_rows(table, limits)}
        found[f"{base}/{{id}}"] = {"get": _get_row(table)}
    return found


def _why() -> Schema:
    return parameter(
        "reason",
        {"type": "string", "minLength": 1, "maxLength": REASON_LENGTH},
        "Why personal text of others, which reads [sealed], is to be shown; this is "
        "recorded, and takes the role admin",
    )


def _get_rows(table: Table, limits: Limits) -> Schema:
    text: Schema = {"type": "string"}
    row = reference(row_name(table))
    sorts = [sign + name for name in queries.sortable(table) for sign in ("", "-")]
    parameters = [
        parameter("sort", {"type": "string", "enum": sorts}, "Order; - descends"),
        parameter("fields", text, "Columns to show, with commas between"),
        parameter(
            "limit",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": limits.page_rows,
                "default": limits.default_rows,
            },
            "Rows of a page",
        ),
        parameter("cursor", text, "Where the last page ended; see next"),
        parameter(
            "min_position",
            {"type": "integer", "minimum": 0},
            "Wait until the table has seen this position of the log, at most "
            f"{limits.wait_seconds:g} s",
        ),
        *([_why()] if any(column.personal for column in table.columns) else ()),
        *_filters(table),
    ]
    page = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": row},
            "next": {
                "type": ["string", "null"],
                "description": "Address of the next page",
            },
        },
        "required": ["rows", "next"],
    }
    return {
        "tags": [table.schema],
        "operationId": f"list_{table.schema}_{table.name}",
        "summary": table.note,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "A page of the rows that the caller may see",
                "headers": {
                    "Link": {
                        "description": 'The next page, rel="next"',
                        "schema": text,
                    }
                },
                "content": {
                    JSON: {"schema": page},
                    formats.NDJSON: {"schema": text},
                    formats.CSV: {"schema": text},
                },
            },
            **answers("malformed", "not-acceptable"),
        },
    }


def _filters(table: Table) -> list[Schema]:
    """Return a parameter for each column and operator."""
    found: list[Schema] = []
    for column in queries.columns_of(table):
        schema: Schema = dict(values.kind_of(column).schema)
        for operator in queries.operators_of(column):
            match operator:
                case "eq":
                    name, kind = column.name, schema
                case "null":
                    name, kind = f"{column.name}.null", {"type": "boolean"}
                case "in" | "like" | "has":
                    name, kind = f"{column.name}.{operator}", {"type": "string"}
                case _:
                    name, kind = f"{column.name}.{operator}", schema
            found.append(parameter(name, kind, _asks(column, operator)))
    return found


def _asks(column: Column, operator: str) -> str:
    meaning = {
        "eq": "equal to this",
        "ne": "other than this",
        "gt": "above this",
        "gte": "this or above",
        "lt": "below this",
        "lte": "this or below",
        "in": "one of these, with commas between",
        "like": "like this text, * for anything",
        "has": "with this key or element",
        "null": "null, or not",
    }
    return f"{column.note}: {meaning[operator]}"


def _get_row(table: Table) -> Schema:
    text: Schema = {"type": "string"}
    return {
        "tags": [table.schema],
        "operationId": f"get_{table.schema}_{table.name}",
        "summary": f"{table.note}: one row",
        "parameters": [
            parameter("id", text, f"Key: {','.join(table.shown_key)}", place="path"),
            parameter("fields", text, "Columns to show, with commas between"),
            parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the table has seen this position of the log",
            ),
            parameter(
                "as_of",
                text,
                "A position of the log or a time: answers the state that the "
                "entity had then, instead of its row",
            ),
            _why(),
        ],
        "responses": {
            "200": {
                "description": "The row, or the state as of then",
                "content": {
                    JSON: {
                        "schema": {
                            "anyOf": [reference(row_name(table)), {"type": "object"}]
                        }
                    }
                },
            },
            **answers("malformed", "missing", "not-acceptable"),
        },
    }


def _get_reliability() -> Schema:
    return {
        "tags": ["testing"],
        "operationId": "get_set_run_reliability",
        "summary": "How reliable the agent of a set run is: pass^k and pass@k",
        "description": "From the trials in the read tables. pass^k is the mean over "
        "tasks of C(c, k) / C(n, k), pass@k of 1 - C(n - c, k) / C(n, k), for c of n "
        "trials passed; each with its interval, method and counts.",
        "parameters": [
            parameter(
                "id", {"type": "string", "format": "uuid"}, "The run", place="path"
            )
        ],
        "responses": {
            "200": {
                "description": "The estimates",
                "content": {JSON: {"schema": reference("Reliability")}},
            },
            **answers("malformed", "missing", "not-acceptable"),
        },
    }


def _get_progress() -> Schema:
    return {
        "tags": ["testing"],
        "operationId": "get_set_run_progress",
        "summary": "How far a set run is",
        "description": "With Accept: text/event-stream the connection stays open until "
        "the run has ended, and each change follows as a message `progress` that holds "
        "all counts; its id is a position, and Last-Event-ID goes on after it without "
        "a gap. 204 tells who comes back that the run had ended there.",
        "parameters": [
            parameter(
                "id", {"type": "string", "format": "uuid"}, "The run", place="path"
            ),
            parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the read tables are at this position",
            ),
            parameter(
                "Last-Event-ID",
                {"type": "integer", "minimum": 0},
                "The position that the feed was left at",
                place="header",
            ),
        ],
        "responses": {
            "200": {
                "description": "The progress, or the live feed",
                "content": {
                    JSON: {"schema": reference("RunProgress")},
                    SSE: {"schema": MESSAGE},
                },
            },
            "204": {"description": "The run had ended at the given position"},
            **answers("malformed", "missing", "not-acceptable", "too-many"),
        },
    }


def _event_paths(limits: Limits) -> Schema:
    text: Schema = {"type": "string"}
    position: Schema = {"type": "integer", "minimum": 0, "default": 0}
    limit: Schema = {
        "type": "integer",
        "minimum": 1,
        "maximum": limits.page_events,
        "default": limits.default_events,
    }
    events: Schema = {"type": "array", "items": reference("Recorded")}
    who = (
        f"Takes role {' or '.join(sorted(feed.ROLES))} or scope {OPENED}. Without "
        "the scope personal text of others reads [sealed], unless a reason is given."
    )
    reason = _why()
    return {
        "/v1/events": {
            "get": {
                "tags": ["events"],
                "operationId": "listEvents",
                "summary": "The organisation's events in the order of the log",
                "description": f"{who} With Accept: text/event-stream the connection "
                "stays open and events follow as they happen; the id of each is its "
                "position, and Last-Event-ID goes on after it.",
                "parameters": [
                    parameter("after", position, "Position after which to begin"),
                    parameter("limit", limit, "Events of a page"),
                    parameter("type", text, "Types to show, with commas between"),
                    reason,
                    parameter(
                        "Last-Event-ID",
                        {"type": "integer", "minimum": 0},
                        "The position that the feed was left at",
                        place="header",
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "A page, or the live feed",
                        "content": {
                            JSON: {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "events": events,
                                        "after": {
                                            "type": "integer",
                                            "description": "Where to go on",
                                        },
                                        "more": {"type": "boolean"},
                                    },
                                    "required": ["events", "after", "more"],
                                }
                            },
                            SSE: {"schema": MESSAGE},
                        },
                    },
                    **answers("malformed", "not-acceptable", "too-many"),
                },
            }
        },
        "/v1/streams/{id}": {
            "get": {
                "tags": ["events"],
                "operationId": "getStream",
                "summary": "One stream's events in order",
                "description": who,
                "parameters": [
                    parameter("id", text, "Name of the stream", place="path"),
                    parameter("after", position, "Version after which to begin"),
                    parameter("limit", limit, "Events of a page"),
                    reason,
                ],
                "responses": {
                    "200": {
                        "description": "The events",
                        "content": {
                            JSON: {
                                "schema": {
                                    "type": "object",
                                    "properties": {
                                        "stream_id": text,
                                        "version": {"type": "integer"},
                                        "events": events,
                                    },
                                    "required": ["stream_id", "version", "events"],
                                }
                            }
                        },
                    },
                    **answers("malformed", "missing", "not-acceptable"),
                },
            }
        },
    }


def _blob_paths(limits: Limits) -> Schema:
    address: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    who = f"Takes role {' or '.join(sorted(blobs.ROLES))} or scope {blobs.SCOPE}."
    kept = {
        "type": "object",
        "properties": {"sha256": address, "size": {"type": "integer"}},
        "required": ["sha256", "size"],
    }
    return {
        blobs.PATH: {
            "post": {
                "tags": ["blobs"],
                "operationId": "putBlob",
                "summary": "Keep a large body",
                "description": f"{who} At most {limits.blob_bytes} bytes.",
                "requestBody": {"required": True, "content": {"*/*": {}}},
                "responses": {
                    "201": {
                        "description": "Kept, or known already",
                        "headers": {
                            "Location": {
                                "description": "Where it is",
                                "schema": {"type": "string"},
                            }
                        },
                        "content": {JSON: {"schema": kept}},
                    },
                    **answers("malformed", "too-large", "unsupported-media"),
                },
            }
        },
        f"{blobs.PATH}/{{sha256}}": {
            "get": {
                "tags": ["blobs"],
                "operationId": "getBlob",
                "summary": "The bytes of an address",
                "description": who,
                "parameters": [
                    parameter("sha256", address, "sha256 in hex", place="path")
                ],
                "responses": {
                    "200": {
                        "description": "The bytes",
                        "content": {"application/octet-stream": {}},
                    },
                    **answers("malformed", "missing"),
                },
            }
        },
    }


def _about_paths() -> Schema:
    html = {"text/html": {"schema": {"type": "string"}}}
    return {
        "/v1/openapi.json": {
            "get": {
                "tags": ["about"],
                "operationId": "getDescription",
                "summary": "This description",
                "security": [],
                "responses": {
                    "200": {
                        "description": "OpenAPI 3.1",
                        "content": {JSON: {"schema": {"type": "object"}}},
                    }
                },
            }
        },
        "/v1/asyncapi.json": {
            "get": {
                "tags": ["about"],
                "operationId": "getMessages",
                "summary": "What goes over AMQP: commands, replies, events",
                "security": [],
                "responses": {
                    "200": {
                        "description": "AsyncAPI 3.0",
                        "content": {JSON: {"schema": {"type": "object"}}},
                    }
                },
            }
        },
        "/v1/docs": {
            "get": {
                "tags": ["about"],
                "operationId": "getDocs",
                "summary": "This description as a page",
                "security": [],
                "parameters": [parameter("q", {"type": "string"}, "Words to look for")],
                "responses": {"200": {"description": "A page", "content": html}},
            }
        },
        "/v1/problems/{slug}": {
            "get": {
                "tags": ["about"],
                "operationId": "getProblem",
                "summary": "What a kind of problem means",
                "security": [],
                "parameters": [
                    parameter(
                        "slug",
                        {
                            "type": "string",
                            "enum": [slug(kind) for kind in PROBLEMS],
                        },
                        "Kind of problem",
                        place="path",
                    )
                ],
                "responses": {
                    "200": {"description": "A page", "content": html},
                    "404": {"$ref": "#/components/responses/missing"},
                },
            }
        },
    }
