"""The AsyncAPI 3.0 description of what goes over AMQP, made of the same types.

Commands, events, verdicts and problems are the schemas of the OpenAPI description;
what is added is how messages carry them.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from events.catalogue import EVENTS
from events.message import Command
from services import problems
from services.commanding import BATCH_BYTES, BATCH_COMMANDS, COMMAND_BYTES
from services.http.openapi_parts import REFERENCE, Schema, reference
from services.intake.message import BATCH, JSON, NDJSON
from services.telling.cloudevents import MEDIA_TYPE, CloudEvent


COMMANDS: Final = "rehearsal.commands"
HAPPENED: Final = "rehearsal.events"
BINDING: Final = "0.3.0"
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
TEXT: Final[Schema] = {"type": "string"}


def describe_messages(
    description: Schema, commands: Mapping[str, type[Command]]
) -> Schema:
    """Return the description, from that of HTTP and the commands' types."""
    schemas: Schema = dict(description["components"]["schemas"])
    known = {
        name: schemas["Command"]["discriminator"]["mapping"][name] for name in commands
    }
    happened = schemas["Event"]["discriminator"]["mapping"]
    _, added = msgspec.json.schema_components([CloudEvent], ref_template=REFERENCE)
    messages = {
        **{name: _command(name, ref, schemas) for name, ref in known.items()},
        BATCH: _batch(),
        **{name: _event(name, happened[name], schemas) for name in EVENTS},
        "outcome": _reply("What became of a command", reference("Outcome"), JSON),
        "verdicts": _reply(
            "What became of each command of a batch",
            {"type": "array", "items": reference("Verdict")},
            JSON,
        ),
        "problem": _reply(
            "Why a message was not handled", reference("Document"), problems.MEDIA_TYPE
        ),
    }
    described = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Rehearsal",
            "version": "1",
            "description": "Commands in and events out over AMQP 0-9-1. A command that "
            "was not answered may have happened: send it again with the same "
            "message_id. Events arrive at least once, in the order of the log.",
            "license": {
                "name": "Apache-2.0",
                "url": "https://www.apache.org/licenses/LICENSE-2.0",
            },
        },
        "defaultContentType": JSON,
        "servers": {
            "rabbitmq": {
                "host": "{host}",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The RabbitMQ of REHEARSAL_BROKER",
                "variables": {"host": {"default": "localhost:5672"}},
            }
        },
        "channels": _channels(list(known)),
        "operations": _operations(list(known)),
        "components": {
            "schemas": {
                **{
                    key(name): _plain(schemas[name])
                    for name in _needed(messages, {**schemas, **added})
                    if name in schemas
                },
                "CloudEvent": added["CloudEvent"],
                "CommandHeaders": _headers(),
            },
            "messages": {key(name): each for name, each in messages.items()},
            "correlationIds": {
                "question": {
                    "description": "Given back with the reply as it is; message_id "
                    "where there is none",
                    "location": "$message.header#/correlation_id",
                }
            },
        },
    }
    found: Schema = _with_keys(described)
    return found


def key(name: str) -> str:
    """Return a name as a key of the description, which has no dots."""
    return name.replace(".", "-")


def _channels(commands: list[str]) -> Schema:
    return {
        "commands": {
            "address": "{type}",
            "title": "Commands",
            "description": "One command in a message. Commands on one stream are "
            "handled in the order of the queue.",
            "messages": {key(name): _message(name) for name in commands},
            "parameters": {
                "type": {"description": "The command's type", "enum": commands}
            },
            "bindings": _exchange(COMMANDS),
        },
        "batches": {
            "address": BATCH,
            "title": "Batches of commands",
            "description": f"At most {BATCH_COMMANDS} commands and {BATCH_BYTES} bytes "
            "in a message, handled in order, with a verdict for each.",
            "messages": {BATCH: _message(BATCH)},
            "bindings": _exchange(COMMANDS),
        },
        "replies": {
            "address": None,
            "title": "Replies",
            "description": "The queue that the property reply_to of a message names.",
            "messages": {
                name: _message(name) for name in ("outcome", "verdicts", "problem")
            },
        },
        "events": {
            "address": "{type}.{organisation}",
            "title": "Events",
            "description": "Every event as a CloudEvent 1.0 in structured mode. "
            "Personal text reads [sealed] and is named in the attribute sealed.",
            "messages": {key(name): _message(name) for name in EVENTS},
            "parameters": {
                "type": {"description": "The event's type", "enum": list(EVENTS)},
                "organisation": {"description": "The organisation it belongs to"},
            },
            "bindings": _exchange(HAPPENED),
        },
    }


def _operations(commands: list[str]) -> Schema:
    return {
        "receiveCommand": {
            "action": "receive",
            "channel": _channel("commands"),
            "summary": "Send a command over AMQP",
            "messages": [_of("commands", name) for name in commands],
            "reply": _answered("outcome", "problem"),
            "bindings": {"amqp": {"ack": True, "bindingVersion": BINDING}},
        },
        "receiveBatch": {
            "action": "receive",
            "channel": _channel("batches"),
            "summary": "Send a batch of commands over AMQP",
            "messages": [_of("batches", BATCH)],
            "reply": _answered("verdicts", "problem"),
            "bindings": {"amqp": {"ack": True, "bindingVersion": BINDING}},
        },
        "sendEvent": {
            "action": "send",
            "channel": _channel("events"),
            "summary": "Follow events over AMQP",
            "messages": [_of("events", name) for name in EVENTS],
            "bindings": {"amqp": {"deliveryMode": 2, "bindingVersion": BINDING}},
        },
    }


def _command(name: str, schema: str, schemas: Schema) -> Schema:
    described = schemas[schema.rpartition("/")[2]]
    return {
        "name": name,
        "title": name,
        "summary": described["description"],
        "contentType": JSON,
        "headers": reference("CommandHeaders"),
        "payload": {"$ref": schema},
        "correlationId": {"$ref": "#/components/correlationIds/question"},
        "bindings": {"amqp": {"messageType": name, "bindingVersion": BINDING}},
        "examples": [
            {"name": "least", "payload": example} for example in described["examples"]
        ],
    }


def _batch() -> Schema:
    return {
        "name": BATCH,
        "title": "A batch of commands",
        "summary": f"An array of envelopes; as {NDJSON}, one a line.",
        "contentType": JSON,
        "headers": reference("CommandHeaders"),
        "payload": {
            "type": "array",
            "items": reference("Envelope"),
            "minItems": 1,
            "maxItems": BATCH_COMMANDS,
        },
        "correlationId": {"$ref": "#/components/correlationIds/question"},
    }


def _event(name: str, schema: str, schemas: Schema) -> Schema:
    told = schemas[schema.rpartition("/")[2]].get("description", name)
    data = {"type": {"const": name}, "data": {"$ref": schema}}
    return {
        "name": name,
        "title": name,
        "summary": told.partition("\n")[0],
        "contentType": MEDIA_TYPE,
        "payload": {
            "allOf": [
                reference("CloudEvent"),
                {"type": "object", "properties": data},
            ]
        },
        "bindings": {"amqp": {"bindingVersion": BINDING}},
    }


def _reply(text: str, payload: Schema, kind: str) -> Schema:
    return {
        "summary": text,
        "contentType": kind,
        "payload": payload,
        "correlationId": {"$ref": "#/components/correlationIds/question"},
    }


def _headers() -> Schema:
    """Return the schema of a command's headers, and of the properties beside them."""
    properties: Schema = {
        "authorization": {**TEXT, "description": "Bearer and a token"},
        "rehearsal-expected-version": {
            "type": "integer",
            "minimum": 0,
            "description": "The version that the stream must have; 0: none",
        },
        "rehearsal-correlation-id": {**UUID, "description": "What it belongs to"},
        "rehearsal-causation-id": {**UUID, "description": "What caused it"},
        "rehearsal-occurred-at": {
            **TEXT,
            "format": "date-time",
            "description": "When it happened; takes the scope import",
        },
        "rehearsal-on-behalf-of": {
            **TEXT,
            "description": "For which user a service asks, as user:ID; takes the scope "
            "delegate",
        },
        "rehearsal-org-id": {**TEXT, "description": "May repeat what the token says"},
        "rehearsal-actor": {**TEXT, "description": "May repeat what the token says"},
        "traceparent": {**TEXT, "description": "W3C trace context"},
        "tracestate": {**TEXT, "description": "W3C trace context"},
    }
    return {
        "type": "object",
        "description": "Beside them the property message_id is the command's id, a "
        "UUID; reply_to names a queue for the reply; expiration, with timestamp, is "
        f"honoured. A command is at most {COMMAND_BYTES} bytes.",
        "properties": properties,
        "required": ["authorization"],
    }


def _answered(*names: str) -> Schema:
    return {
        "address": {
            "location": "$message.header#/reply_to",
            "description": "The property reply_to",
        },
        "channel": _channel("replies"),
        "messages": [_of("replies", name) for name in names],
    }


def _exchange(name: str) -> Schema:
    return {
        "amqp": {
            "is": "routingKey",
            "exchange": {"name": name, "type": "topic", "durable": True},
            "bindingVersion": BINDING,
        }
    }


def _channel(name: str) -> Schema:
    return {"$ref": f"#/channels/{name}"}


def _of(channel: str, message: str) -> Schema:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}


def _message(name: str) -> Schema:
    return {"$ref": f"#/components/messages/{name}"}


def _needed(root: object, schemas: Schema) -> dict[str, None]:
    """Return the names of the schemas that are referred to, however far."""
    found: dict[str, None] = {}
    places: list[Any] = [root]
    while places:
        place = places.pop()
        match place:
            case {"$ref": str(target)} if target.startswith(REFERENCE.format(name="")):
                name = target.rpartition("/")[2]
                if name not in found and name in schemas:
                    found[name] = None
                    places.append(schemas[name])
            case dict():
                places += place.values()
            case list():
                places += place
            case _:
                pass
    return found


def _with_keys(place: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON whose references lead to keys."""
    match place:
        case dict():
            return {
                name: key(item)
                if name == "$ref" and isinstance(item, str)
                else _with_keys(item)
                for name, item in place.items()
            }
        case list():
            return [_with_keys(item) for item in place]
        case _:
            return place


def _plain(schema: Schema) -> Schema:
    """Return a schema without what only OpenAPI knows, mappings of a discriminator."""
    return {name: item for name, item in schema.items() if name != "discriminator"}
