"""The description of AMQP: valid, whole, and true of what is sent."""

from collections.abc import Iterator
from typing import Any
from warnings import catch_warnings, simplefilter

import msgspec
import pytest

from events.catalogue import EVENTS, tag
from events.conversation import MessageAdded
from events.errors import Malformed
from events.message import Event
from infra.rabbit.topology import Topology
from projections.catalogue import TABLES
from services.decoding import command_decoder
from services.guard import PERMISSIONS
from services.http.asyncapi import describe_messages, key
from services.http.limits import Limits
from services.http.openapi import describe
from services.problems import document
from services.routing import COMMANDS
from services.telling.cloudevents import cloud_event, encoded
from tests.builders import new_id
from tests.recorded import recorded
from tests.services.http.world import World


Json = Any


@pytest.fixture(scope="module")
def description() -> Json:
    described = describe(
        commands=COMMANDS, permissions=PERMISSIONS, tables=TABLES, limits=Limits()
    )
    return msgspec.json.decode(
        msgspec.json.encode(describe_messages(described, COMMANDS))
    )


def resolved(description: Json, reference: str) -> Json:
    found = description
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(place: Json) -> Iterator[str]:
    if isinstance(place, dict):
        if isinstance(place.get("$ref"), str):
            yield place["$ref"]
        for each in place.values():
            yield from references(each)
    elif isinstance(place, list):
        for each in place:
            yield from references(each)


def payload(description: Json, name: str) -> Any:  # noqa: ANN401 - slow to import
    """Return what validates the payload of a message."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import

    schema = description["components"]["messages"][key(name)]["payload"]
    return Draft202012Validator({**schema, "components": description["components"]})


def test_the_description_is_valid(description: Json) -> None:
    with catch_warnings():
        # Its own models shadow names of the library that they are made with.
        simplefilter("ignore", UserWarning)
        from asyncapi3.models import AsyncAPI3  # noqa: PLC0415

    AsyncAPI3.model_validate(description)


def test_every_reference_leads_somewhere(description: Json) -> None:
    found = set(references(description))
    assert found
    for reference in found:
        assert resolved(description, reference) is not None


def test_every_command_and_event_is_a_message_of_its_channel(description: Json) -> None:
    channels = description["channels"]
    assert set(channels["commands"]["messages"]) == set(map(key, COMMANDS))
    assert set(channels["events"]["messages"]) == set(map(key, EVENTS))
    for operation in description["operations"].values():
        known = {
            f"{operation['channel']['$ref']}/messages/{name}"
            for name in resolved(description, operation["channel"]["$ref"])["messages"]
        }
        assert {each["$ref"] for each in operation["messages"]} == known


def test_the_exchanges_are_those_that_are_declared(description: Json) -> None:
    topology = Topology()
    for name, exchange in (
        ("commands", topology.commands.exchange),
        ("batches", topology.commands.exchange),
        ("events", topology.events),
    ):
        bound = description["channels"][name]["bindings"]["amqp"]["exchange"]
        assert (bound["name"], bound["type"]) == (exchange.name, exchange.kind)


def test_every_example_is_a_command_and_of_its_schema(description: Json) -> None:
    decode = command_decoder(COMMANDS.values())
    for name, kind in COMMANDS.items():
        (example,) = description["components"]["messages"][key(name)]["examples"]
        payload(description, name).validate(example["payload"])
        assert isinstance(decode(msgspec.json.encode(example["payload"])), kind)


def test_what_is_published_is_of_its_schema(description: Json) -> None:
    event: Event = MessageAdded(
        conversation_id=new_id(), seq=1, role="user", text="Hello"
    )
    (each,) = recorded(event)
    body = msgspec.json.decode(encoded(cloud_event(each)))
    validator = payload(description, tag(MessageAdded))

    validator.validate(body)
    assert not validator.is_valid({**body, "type": "testing.Nothing"})
    assert not validator.is_valid({**body, "data": {**body["data"], "seq": "one"}})


def test_what_is_replied_is_of_its_schema(description: Json) -> None:
    problem = msgspec.to_builtins(document(Malformed(path="$.name")))
    payload(description, "problem").validate(problem)
    assert not payload(description, "outcome").is_valid(problem)


async def test_it_is_served_and_shown(world: World) -> None:
    served = await world.request("GET", "/v1/asyncapi.json")
    assert served.json["asyncapi"] == "3.0.0"
    page = await world.request("GET", "/v1/docs?q=amqp")
    assert b"rehearsal.commands {type}" in page.body
    assert b"rehearsal-expected-version" in page.body
    assert b"/v1/asyncapi.json" in page.body
