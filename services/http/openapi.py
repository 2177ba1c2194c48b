"""The OpenAPI 3.1 description, made of the types that serve the requests.

Commands come from their Structs, read tables from their declarations, problems from
their registry; nothing is described twice.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from events.catalogue import EVENTS, tag
from events.message import Command, Event
from projections.projection import Column, Table
from services import problems
from services.commanding import Envelope
from services.experiments.analysis.results import Analysis, Contrasts, Report
from services.experiments.watching import Steps
from services.http import auth_paths, queries, values
from services.http.auth import PATH as AUTH
from services.http.examples import example
from services.http.limits import Limits
from services.http.openapi_parts import REFERENCE, Schema, reference
from services.http.openapi_paths import paths, row_name
from services.http.reliability import Reliability
from services.outcome import Outcome
from services.playgrounds.statistics.results import Statistics
from services.problems import PROBLEMS, Document
from services.testing.progress import RunProgress


class Permission(Protocol):
    """Who may send a command."""

    @property
    def roles(self) -> Iterable[str]:
        """Return the roles of which one is needed."""
        ...

    @property
    def scopes(self) -> Iterable[str]:
        """Return the scopes that are all needed."""
        ...

    @property
    def own(self) -> bool:
        """Say whether users may ask for it for themselves."""
        ...


def describe(
    *,
    commands: Mapping[str, type[Command]],
    permissions: Mapping[type[Command], Permission],
    tables: Mapping[str, Table],
    limits: Limits,
) -> Schema:
    """Return the whole description."""
    kinds: list[type[msgspec.Struct]] = [*commands.values(), *EVENTS.values()]
    _, schemas = msgspec.json.schema_components(
        [
            *kinds,
            *auth_paths.KINDS,
            Outcome,
            Envelope,
            Document,
            Reliability,
            RunProgress,
            Statistics,
            Analysis,
            Contrasts,
            Report,
            Steps,
        ],
        ref_template=REFERENCE,
    )
    names = {kind: _component(kind, schemas) for kind in kinds}
    for kind in kinds:
        schemas[names[kind]]["title"] = tag(kind)
    for kind in commands.values():
        schema = schemas[names[kind]]
        schema["description"] = _described(kind, permissions.get(kind))
        _allow(schema, permissions.get(kind))
        schema["examples"] = [example(schema, schemas)]
    schemas["Command"] = _union(
        [(name, names[kind]) for name, kind in commands.items()]
    )
    schemas["Event"] = _union([(name, names[kind]) for name, kind in EVENTS.items()])
    schemas["Envelope"]["properties"]["command"] = reference("Command")
    schemas["Recorded"] = _recorded()
    schemas["Verdict"] = {"anyOf": [reference("Outcome"), reference("Document")]}
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Rehearsal",
            "version": "1",
            "summary": "Commands in, read tables and events out",
            "description": "Every answer that is not 2xx is a problem document "
            "(RFC 9457). A command that was not answered may have happened: send it "
            "again with the same Idempotency-Key.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [
            {"name": "commands", "description": "What is asked for"},
            *(
                {"name": schema, "description": f"Read tables of {schema}"}
                for schema in dict.fromkeys(table.schema for table in tables.values())
            ),
            {"name": "events", "description": "What happened"},
            {"name": "blobs", "description": "Large bodies"},
            {"name": "auth", "description": "Signing in, where tokens are ours"},
            {"name": "about", "description": "This interface"},
        ],
        "paths": paths(tables, limits),
        "components": {
            "schemas": {
                **schemas,
                **{row_name(table): _row_schema(table) for table in tables.values()},
            },
            "responses": _problem_responses(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def as_served(description: Schema, served: Container[str]) -> Schema:
    """Leave out the paths of signing in that are not served here."""
    return {
        **description,
        "paths": {
            path: operations
            for path, operations in description["paths"].items()
            if path in served or not path.startswith(f"{AUTH}/")
        },
    }


def _component(kind: type[msgspec.Struct], schemas: Mapping[str, Schema]) -> str:
    """Return the name that msgspec gave a type: its own, or with its module before."""
    long = f"{kind.__module__}.{kind.__qualname__}"
    return next(name for name in (kind.__name__, long) if name in schemas)


def _described(kind: type[Command], permission: Permission | None) -> str:
    text = (kind.__doc__ or "").strip().splitlines()[:1]
    if permission is not None:
        roles = " or ".join(sorted(permission.roles))
        scopes = "".join(f" and the scope {name}" for name in sorted(permission.scopes))
        area = tag(kind).partition(".")[0]
        own = ", or is asked for by the user whom it concerns" if permission.own else ""
        text.append(f"Takes the role {roles} in {area}{scopes}{own}.")
    return " ".join(text)


def _allow(schema: Schema, permission: Permission | None) -> None:
    if permission is not None:
        schema["x-roles"] = sorted(permission.roles)
        schema["x-scopes"] = sorted(permission.scopes)


def _union(members: Sequence[tuple[str, str]]) -> Schema:
    return {
        "oneOf": [reference(component) for _, component in members],
        "discriminator": {
            "propertyName": "type",
            "mapping": {
                name: REFERENCE.format(name=component) for name, component in members
            },
        },
    }


def _recorded() -> Schema:
    uuid: Schema = {"type": "string", "format": "uuid"}
    text: Schema = {"type": "string"}
    whole: Schema = {"type": "integer"}
    moment: Schema = {"type": "string", "format": "date-time"}
    properties: Schema = {
        "position": {**whole, "description": "Place in the log, from 1 without gaps"},
        "stream_id": text,
        "version": {**whole, "description": "Place in its stream, from 1"},
        "event_id": uuid,
        "org_id": text,
        "region": text,
        "command_id": uuid,
        "correlation_id": uuid,
        "causation_id": {"anyOf": [uuid, {"type": "null"}]},
        "actor": text,
        "ip": {"type": ["string", "null"]},
        "occurred_at": moment,
        "recorded_at": moment,
        "headers": {"type": ["object", "null"], "additionalProperties": text},
        "event": reference("Event"),
    }
    return {
        "type": "object",
        "description": Event.__name__ + " as the log holds it",
        "properties": properties,
        "required": list(properties),
    }


def _problem_responses() -> Schema:
    content = {problems.MEDIA_TYPE: {"schema": reference("Document")}}
    return {
        problems.slug(kind): {
            "description": f"{problem.title}. Again? {problem.again}",
            "content": content,
        }
        for kind, problem in PROBLEMS.items()
    }


def _row_schema(table: Table) -> Schema:
    return {
        "type": "object",
        "title": row_name(table),
        "description": table.note,
        "properties": {
            column.name: _column_schema(column) for column in queries.columns_of(table)
        },
    }


def _column_schema(column: Column) -> Schema:
    schema: Schema = {**values.kind_of(column).schema}
    if "type" in schema and (column.nullable or column.visible):
        schema["type"] = [schema["type"], "null"]
    limits = ". Shown to some, null to others" if column.visible else ""
    if column.personal:
        limits = ". Of others it reads [sealed], unless a reason is given"
    schema["description"] = column.note + limits
    return schema
