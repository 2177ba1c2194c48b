"""The routes of experiments, as OpenAPI describes them."""

from services.experiments.analysis.captions import CAPTIONS
from services.http import reports
from services.http.live import SSE
from services.http.openapi_parts import (
    JSON,
    MESSAGE,
    REPORTED,
    Schema,
    answers,
    at_position,
    parameter,
    reference,
)
from services.http.step_feed import RATE
from services.http.steps import LAST_ID


def experiment_paths() -> Schema:
    """Return the routes beside the tables."""
    return {
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
            parameter("id", position, "The simulation", place="path"),
            parameter("least_severity", severity, "Least severity of events to tell"),
            parameter(
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
            **answers(
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
            parameter("id", uuid, "The experiment", place="path"),
            parameter(
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
            **answers(
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
                "headers": at_position(),
                "content": {
                    JSON: {"schema": reference("Report")},
                    reports.HTML: {"schema": {"type": "string"}},
                },
            },
            **answers(*REPORTED),
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
            parameter("chart", chart, "The chart", place="path"),
        ],
        "responses": {
            "200": {
                "description": "The image",
                "headers": at_position(),
                "content": {kind: {} for kind in reports.IMAGES},
            },
            **answers(*REPORTED),
        },
    }


def _of_report(name: str, key: Schema) -> list[Schema]:
    number: Schema = {"type": "integer", "minimum": 0}
    return [
        parameter("id", key, f"The {name}", place="path"),
        parameter("step", number, "Step of the map, else the last with states"),
        parameter(
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
            parameter("id", key, f"The {name}", place="path"),
            parameter(
                "every_step",
                {"type": "boolean", "default": False},
                "Whether each step is told by itself",
            ),
            parameter(
                "rate",
                {"type": "integer", "minimum": 1, "maximum": RATE, "default": RATE},
                "How many messages there are a second, at most",
            ),
            parameter(
                "min_position",
                {"type": "integer", "minimum": 0},
                "Wait until the read tables are at this position",
            ),
            parameter(
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
            **answers("malformed", "missing", "not-acceptable", "too-many"),
        },
    }
