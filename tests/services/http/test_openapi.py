"""The description: valid, whole, and true of what the routes do."""

from html import unescape
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from events.catalogue import EVENTS
from events.errors import Failure
from projections.catalogue import TABLES
from services.decoding import command_decoder
from services.guard import PERMISSIONS
from services.http.docs import POLICY
from services.http.limits import Limits
from services.http.openapi import describe
from services.http.queries import columns_of
from services.http.tables import parameters_of
from services.problems import PROBLEMS, kind_of, slug
from services.routing import COMMANDS
from tests.services.http.world import World


@pytest.fixture(scope="module")
def description() -> Any:  # noqa: ANN401 - JSON
    made = describe(
        commands=COMMANDS, permissions=PERMISSIONS, tables=TABLES, limits=Limits()
    )
    return msgspec.json.decode(msgspec.json.encode(made))


def resolved(description: Any, reference: str) -> Any:  # noqa: ANN401 - JSON
    found = description
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def test_the_description_is_valid(description: Any) -> None:  # noqa: ANN401 - JSON
    from openapi_spec_validator import validate  # noqa: PLC0415 - slow to import

    validate(description)


def test_every_command_is_described_with_its_tag_and_roles(
    description: Any,  # noqa: ANN401 - JSON
) -> None:
    command = description["components"]["schemas"]["Command"]
    mapping = command["discriminator"]["mapping"]
    assert set(mapping) == set(COMMANDS)
    for name, reference in mapping.items():
        schema = resolved(description, reference)
        assert schema["properties"]["type"] == {"enum": [name]}
        assert "type" in schema["required"]
        assert schema["additionalProperties"] is False
        assert schema["x-roles"] == sorted(PERMISSIONS[COMMANDS[name]].roles)
        assert f"in {name.partition('.')[0]}" in schema["description"]


def test_every_example_is_a_command(description: Any) -> None:  # noqa: ANN401 - JSON
    decode = command_decoder(COMMANDS.values())
    mapping = description["components"]["schemas"]["Command"]["discriminator"]
    for name, reference in mapping["mapping"].items():
        (example,) = resolved(description, reference)["examples"]
        assert isinstance(decode(msgspec.json.encode(example)), COMMANDS[name])


def test_every_event_is_described(description: Any) -> None:  # noqa: ANN401 - JSON
    mapping = description["components"]["schemas"]["Event"]["discriminator"]["mapping"]
    assert set(mapping) == set(EVENTS)


def test_every_table_is_described_with_its_columns(
    description: Any,  # noqa: ANN401 - JSON
) -> None:
    for name, table in TABLES.items():
        rows = description["components"]["schemas"][name]["properties"]
        assert list(rows) == [column.name for column in columns_of(table)]
        assert all(row["description"] for row in rows.values())
        route = description["paths"][f"/v1/{name.replace('.', '/')}"]["get"]
        parameters = {each["name"] for each in route["parameters"]}
        assert parameters <= parameters_of(table)


def test_every_problem_is_described(description: Any) -> None:  # noqa: ANN401 - JSON
    assert set(description["components"]["responses"]) == set(map(slug, PROBLEMS))
    statuses = [problem.status for problem in PROBLEMS.values()]
    assert len(set(statuses)) == len(statuses)


def test_every_failure_is_some_problem() -> None:
    kinds: list[type[Failure]] = [Failure]
    for kind in kinds:
        kinds += kind.__subclasses__()
    for kind in kinds[1:]:
        assert kind_of(kind.__new__(kind)) in PROBLEMS


async def test_the_description_and_its_page_need_no_token(world: World) -> None:
    spec = await world.request("GET", "/v1/openapi.json")
    assert spec.json["openapi"] == "3.1.0"
    page = await world.request("GET", "/v1/docs")
    assert page.headers["Content-Security-Policy"] == POLICY
    text = unescape(page.body.decode())
    for name in [*COMMANDS, *(f"/v1/{name.replace('.', '/')}" for name in TABLES)]:
        assert name in text
    assert text.count("curl ") == len(COMMANDS)


async def test_the_page_loads_nothing_from_elsewhere(world: World) -> None:
    text = (await world.request("GET", "/v1/docs")).body.decode()
    for word in ("<script", "src=", "@import", "url(", "https://", "//cdn"):
        assert word not in text


async def test_the_page_is_searched(world: World) -> None:
    page = await world.request("GET", "/v1/docs?q=create+PERSONA")
    text = page.body.decode()
    assert "testing.CreatePersona" in text
    assert "testing.DeleteScenario" not in text
    nothing = await world.request("GET", "/v1/docs?q=zzzz")
    assert "Nothing has all of these words" in nothing.body.decode()


async def test_what_is_searched_for_is_shown_as_text(world: World) -> None:
    for asked in (b'"><script>alert(1)</script>', b"\x00", b"\xed\xa0\x80", b"\xff"):
        page = await world.request("GET", f"/v1/docs?q={quote(asked)}")
        assert page.status == 200
        assert "<script" not in page.body.decode()
    page = await world.request("GET", "/v1/docs", headers={"Host": "<b>x</b>"})
    assert "<b>" not in page.body.decode()


async def test_every_problem_has_a_page(world: World) -> None:
    for kind, problem in PROBLEMS.items():
        page = await world.request("GET", f"/v1/problems/{slug(kind)}")
        assert page.status == 200
        assert problem.title in unescape(page.body.decode())
    refused = await world.request("GET", "/v1/problems/refused")
    assert "mismatch" in refused.body.decode()
    assert (await world.request("GET", "/v1/problems/other")).status == 404


async def test_signing_in_is_described_where_it_is_served_only(
    world: World,
    description: Any,  # noqa: ANN401 - JSON
) -> None:
    answer = await world.get("/v1/openapi.json")
    left_out = description["paths"].keys() - answer.json["paths"].keys()
    assert "/v1/auth/sign-in" in left_out
    assert all(path.startswith("/v1/auth/") for path in left_out)
