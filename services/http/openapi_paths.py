"""The routes as OpenAPI describes them: parameters, bodies, answers and problems."""

from collections.abc import Mapping
from typing import Any, Final

from projections.projection import Column, Table
from services import problems
from services.experiments.analysis.captions import CAPTIONS
from services.http import (
    blobs,
    feed,
    formats,
    playgrounds,
    queries,
    reports,
    values,
)
from services.http.auth_paths import auth_paths
from services.http.limits import Limits
from services.http.live import SSE
from services.http.reading import OPENED
from services.http.step_feed import RATE
from services.http.steps import LAST_ID
from services.personal import REASON_LENGTH
from services.playgrounds.statistics.records import Options
from services.problems import PROBLEMS


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
        "/v1/experiments/simulations/{id}/analysis": {"get": _get_analysis()},
        "/v1/experiments/experiments/{id}/comparison": {"get": _get_comparison()},
        **{
            f"/v1/experiments/{name}s/{{id}}/{of}": {"get": described(name, key, whose)}
            for of, described in {
                "report": _get_report,
                "charts/{chart}": _get_chart,
                "steps": _get_steps,
            }.items()
            for name, key, whose in (
                ("simulation", {"type": "integer", "minimum": 0}, "a simulation"),
                (
                    "experiment",
                    {"type": "string", "format": "uuid"},
                    "all simulations of an experiment",
                ),
            )
        },
        "/v1/playgrounds/{id}/statistics": {"get": _get_statistics()},
        "/v1/playgrounds/{id}/exports/{shape}": {"get": _get_export(limits)},
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
            _parameter(name, schema, text, place="header")
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
            **_answers(
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
    return _parameter(
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
        _parameter("sort", {"type": "string", "enum": sorts}, "Order; - descends"),
        _parameter("fields", text, "Columns to show, with commas between"),
        _parameter(
            "limit",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": limits.page_rows,
                "default": limits.default_rows,
            },
            "Rows of a page",
        ),
        _parameter("cursor", text, "Where the last page ended; see next"),
        _parameter(
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
            **_answers("malformed", "not-acceptable"),
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
            found.append(_parameter(name, kind, _asks(column, operator)))
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
            _parameter("id", text, f"Key: {','.join(table.shown_key)}", place="path"),
            _parameter("fields", text, "Columns to show, with commas between"),
            _parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the table has seen this position of the log",
            ),
            _parameter(
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
            **_answers("malformed", "missing", "not-acceptable"),
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
            _parameter(
                "id", {"type": "string", "format": "uuid"}, "The run", place="path"
            )
        ],
        "responses": {
            "200": {
                "description": "The estimates",
                "content": {JSON: {"schema": reference("Reliability")}},
            },
            **_answers("malformed", "missing", "not-acceptable"),
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
            _parameter(
                "id", {"type": "string", "format": "uuid"}, "The run", place="path"
            ),
            _parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the read tables are at this position",
            ),
            _parameter(
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
            **_answers("malformed", "missing", "not-acceptable", "too-many"),
        },
    }


def _get_analysis() -> Schema:
    position: Schema = {"type": "integer", "minimum": 0}
    severity: Schema = {"type": "number", "minimum": 0, "maximum": 1, "default": 0}
    return {
        "tags": ["experiments"],
        "operationId": "get_simulation_analysis",
        "summary": "What the recorded rows of a simulation say",
        "description": "Population, resources, survival, dominance, advantages between "
        "types, behaviour, reproduction, learning, health and significant events, of "
        "simulations that were recorded or imported too. What rests on rows that were "
        "not recorded is null, and `gaps` names what it takes.",
        "parameters": [
            _parameter("id", position, "The simulation", place="path"),
            _parameter("least_severity", severity, "Least severity of events to tell"),
            _parameter(
                "min_position",
                position,
                "Wait until the read tables are at this position",
            ),
        ],
        "responses": {
            "200": {
                "description": "The analysis",
                "content": {JSON: {"schema": reference("Analysis")}},
            },
            **_answers(
                "malformed",
                "missing",
                "refused",
                "not-acceptable",
                "too-large",
            ),
        },
    }


def _get_comparison() -> Schema:
    uuid: Schema = {"type": "string", "format": "uuid"}
    position: Schema = {"type": "integer", "minimum": 0}
    return {
        "tags": ["experiments"],
        "operationId": "get_experiment_comparison",
        "summary": "How the conditions of an experiment differ",
        "description": "The first condition with each other one, over completed runs: "
        "differences with intervals, effect sizes and corrected p-values. Runs of the "
        "same seeds are paired.",
        "parameters": [
            _parameter("id", uuid, "The experiment", place="path"),
            _parameter(
                "min_position",
                position,
                "Wait until the read tables are at this position",
            ),
        ],
        "responses": {
            "200": {
                "description": "The comparisons",
                "content": {JSON: {"schema": reference("Contrasts")}},
            },
            **_answers(
                "malformed",
                "missing",
                "refused",
                "not-acceptable",
                "too-large",
            ),
        },
    }


def _get_report(name: str, key: Schema, whose: str) -> Schema:
    return {
        "tags": ["experiments"],
        "operationId": f"get_{name}_report",
        "summary": f"The report of {whose}",
        "description": "What the rows say with n, interval and method, and which "
        "charts there are; as HTML a page with the charts in it, which needs no "
        "network. It is of what is recorded so far; where that is nothing it is "
        "refused. One is drawn at a time, four more wait, others get 503 and "
        "Retry-After.",
        "parameters": _of_report(name, key),
        "responses": {
            "200": {
                "description": "The report",
                "headers": _at_position(),
                "content": {
                    JSON: {"schema": reference("Report")},
                    reports.HTML: {"schema": {"type": "string"}},
                },
            },
            **_answers(*REPORTED),
        },
    }


def _get_chart(name: str, key: Schema, whose: str) -> Schema:
    chart: Schema = {"type": "string", "enum": list(CAPTIONS)}
    shown = "; ".join(f"`{name}`: {caption}" for name, caption in CAPTIONS.items())
    return {
        "tags": ["experiments"],
        "operationId": f"get_{name}_chart",
        "summary": f"A chart of {whose}",
        "description": f"{shown}. One that rests on rows that were not captured is "
        "missing.",
        "parameters": [
            *_of_report(name, key),
            _parameter("chart", chart, "The chart", place="path"),
        ],
        "responses": {
            "200": {
                "description": "The image",
                "headers": _at_position(),
                "content": {kind: {} for kind in reports.IMAGES},
            },
            **_answers(*REPORTED),
        },
    }


def _of_report(name: str, key: Schema) -> list[Schema]:
    number: Schema = {"type": "integer", "minimum": 0}
    return [
        _parameter("id", key, f"The {name}", place="path"),
        _parameter("step", number, "Step of the map, else the last with states"),
        _parameter(
            "min_position", number, "Wait until the read tables are at this position"
        ),
    ]


def _get_steps(name: str, key: Schema, whose: str) -> Schema:
    return {
        "tags": ["experiments"],
        "operationId": f"get_{name}_steps",
        "summary": f"The metrics of the steps of {whose}, live",
        "description": "All steps that were made and those to come, as messages "
        "`steps`, condensed: what gathered since the last message comes in as many "
        "windows as messages would have fitted into that time, each with what the "
        "metrics were at its last step, their least, greatest and mean. A slow reader "
        "gets wider windows. `every_step` tells each step by itself. Every step is in "
        "one message, and Last-Event-ID goes on after the last one, in either form. A "
        "message `end` says how it ended; 204 tells who comes back after that. A "
        "message `problem` holds a problem document and ends the connection.",
        "parameters": [
            _parameter("id", key, f"The {name}", place="path"),
            _parameter(
                "every_step",
                {"type": "boolean", "default": False},
                "Whether each step is told by itself",
            ),
            _parameter(
                "rate",
                {"type": "integer", "minimum": 1, "maximum": RATE, "default": RATE},
                "How many messages there are a second, at most",
            ),
            _parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the read tables are at this position",
            ),
            _parameter(
                "Last-Event-ID",
                {"type": "string", "pattern": LAST_ID},
                "The id of the last message that was seen",
                place="header",
            ),
        ],
        "responses": {
            "200": {
                "description": "The live feed; the data of a message `steps` are JSON "
                "of the schema",
                "content": {SSE: {"schema": MESSAGE, "x-message": reference("Steps")}},
            },
            "204": {"description": "It has ended, and all was told"},
            **_answers("malformed", "missing", "not-acceptable", "too-many"),
        },
    }


def _of_playground() -> list[Schema]:
    uuid: Schema = {"type": "string", "format": "uuid"}
    position: Schema = {"type": "integer", "minimum": 0}
    wait = "Wait until the read tables are at this position"
    return [
        _parameter("id", uuid, "The playground", place="path"),
        _parameter("min_position", position, wait),
    ]


def _at_position() -> Schema:
    return {
        playgrounds.POSITION: {
            "description": "The position of the log that it is of",
            "schema": {"type": "integer"},
        }
    }


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
            _parameter("confidence", confidence, "Confidence of intervals"),
            _parameter("draws", draws, "Draws of resampling"),
            _parameter("seed", seed, "Seed of resampling"),
            _parameter("ties", ties, "How ties enter rankings"),
        ],
        "responses": {
            "200": {
                "description": "The statistics",
                "headers": _at_position(),
                "content": {JSON: {"schema": reference("Statistics")}},
            },
            **_answers("malformed", "missing", "not-acceptable"),
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
            _parameter("shape", shape, "The shape", place="path"),
        ],
        "responses": {
            "200": {
                "description": "The rows",
                "headers": _at_position(),
                "content": {
                    formats.CSV: {"schema": {"type": "string"}},
                    formats.NDJSON: {"schema": {"type": "string"}},
                },
            },
            **_answers("malformed", "missing", "not-acceptable"),
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
                    _parameter("after", position, "Position after which to begin"),
                    _parameter("limit", limit, "Events of a page"),
                    _parameter("type", text, "Types to show, with commas between"),
                    reason,
                    _parameter(
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
                    **_answers("malformed", "not-acceptable", "too-many"),
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
                    _parameter("id", text, "Name of the stream", place="path"),
                    _parameter("after", position, "Version after which to begin"),
                    _parameter("limit", limit, "Events of a page"),
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
                    **_answers("malformed", "missing", "not-acceptable"),
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
                    **_answers("malformed", "too-large", "unsupported-media"),
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
                    _parameter("sha256", address, "sha256 in hex", place="path")
                ],
                "responses": {
                    "200": {
                        "description": "The bytes",
                        "content": {"application/octet-stream": {}},
                    },
                    **_answers("malformed", "missing"),
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
                "parameters": [
                    _parameter("q", {"type": "string"}, "Words to look for")
                ],
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
                    _parameter(
                        "slug",
                        {
                            "type": "string",
                            "enum": [problems.slug(kind) for kind in PROBLEMS],
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


def _parameter(
    name: str, schema: Schema, description: str, *, place: str = "query"
) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema,
    }


def _answers(*slugs: str) -> Schema:
    """Return the problems that a route can answer, besides those that all can."""
    kinds = {problems.slug(kind): str(found.status) for kind, found in PROBLEMS.items()}
    return {
        kinds[name]: {"$ref": f"#/components/responses/{name}"}
        for name in (*slugs, "unauthenticated", "forbidden", "defect", "unavailable")
    }
