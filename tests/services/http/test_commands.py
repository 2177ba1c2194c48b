"""Commands over HTTP: one or many, once each, and only as who the token says."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from structlog.testing import capture_logs

from events.errors import Unavailable
from infra.clock import new_id
from services import log_context
from services.http.limits import Limits
from tests.services.http.world import (
    ISSUER,
    Answer,
    World,
    create_persona,
    is_problem,
    open_world,
)


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_command_is_answered_with_its_outcome(world: World) -> None:
    persona_id = new_id()
    command_id = new_id()
    answer = await world.send(create_persona(persona_id), command_id=command_id)
    assert answer.status == 200
    outcome = answer.json
    assert outcome["command_id"] == str(command_id)
    assert outcome["status"] == "ok"
    assert outcome["stream_id"] == f"testing.persona-{persona_id}"
    assert answer.headers["ETag"] == f'"{outcome["version"]}"'
    head = await world.log.head()
    assert outcome["position"] <= head.position


async def test_sending_twice_changes_nothing(world: World) -> None:
    command, command_id = create_persona(), new_id()
    first = await world.send(command, command_id=command_id)
    head = await world.log.head()
    again = await world.send(command, command_id=command_id)
    assert again.status == 200
    assert again.json == {**first.json, "status": "duplicate"}
    assert await world.log.head() == head


async def test_an_id_spelled_in_another_way_is_the_same_id(world: World) -> None:
    command, command_id = create_persona(), new_id()
    await world.send(command, command_id=command_id)
    for spelling in (command_id.urn, f"{{{command_id}}}", command_id.hex.upper()):
        headers = {"Idempotency-Key": spelling}
        again = await world.send(command, headers=headers)
        assert (again.status, again.json["status"]) == (200, "duplicate")


async def test_an_id_with_another_body_is_refused(world: World) -> None:
    command_id = new_id()
    await world.send(create_persona(), command_id=command_id)
    answer = await world.send(create_persona(), command_id=command_id)
    assert is_problem(answer, 422)
    assert answer.json["code"] == "mismatch"


async def test_a_conflict_tells_the_actual_version(world: World) -> None:
    persona_id = new_id()
    made = await world.send(create_persona(persona_id))
    command = {"type": "testing.DeletePersona", "persona_id": str(persona_id)}
    answer = await world.send(command, headers={"If-Match": '"7"'})
    assert is_problem(answer, 409)
    assert answer.json["actual_version"] == made.json["version"]
    version = {"Rehearsal-Expected-Version": str(made.json["version"])}
    assert (await world.send(command, headers=version)).status == 200


async def test_a_refusal_names_its_rule(world: World) -> None:
    persona_id = new_id()
    await world.send(create_persona(persona_id))
    answer = await world.send(create_persona(persona_id, name="Bea"))
    assert is_problem(answer, 422)
    assert answer.json["type"] == "/v1/problems/refused"
    assert answer.json["code"] != "refused"


async def test_what_surrounds_a_command_is_recorded(world: World) -> None:
    correlation, causation = new_id(), new_id()
    moment = datetime(2020, 1, 2, tzinfo=UTC)
    answer = await world.send(
        create_persona(),
        headers={
            **world.bearer(scopes=["import"]),
            "Rehearsal-Correlation-Id": str(correlation),
            "Rehearsal-Causation-Id": str(causation),
            "Rehearsal-Occurred-At": moment.isoformat(),
            "traceparent": TRACE,
            "tracestate": "vendor=1",
        },
    )
    assert answer.status == 200
    (recorded, *_) = await world.log.read(0)
    assert recorded.org_id == "acme"
    assert recorded.actor == "user:ada"
    assert recorded.ip == "127.0.0.1"
    assert recorded.correlation_id == correlation
    assert recorded.causation_id == causation
    assert recorded.occurred_at == moment
    assert recorded.headers == {"traceparent": TRACE, "tracestate": "vendor=1"}


async def test_only_an_import_may_say_when_it_happened(world: World) -> None:
    headers = {"Rehearsal-Occurred-At": "2020-01-02T00:00:00Z"}
    answer = await world.send(create_persona(), headers=headers)
    assert is_problem(answer, 403, "headers.Rehearsal-Occurred-At")


async def test_a_broken_trace_is_left_out(world: World) -> None:
    for parent in ("00-zz", TRACE + "\xff", ""):
        await world.send(create_persona(), headers={"traceparent": parent})
    assert all(not each.headers for each in await world.log.read(0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", "seven"),
        ("Idempotency-Key", ""),
        ("If-Match", "7"),
        ("If-Match", '"x"'),
        ("If-Match", 'W/"7"'),
        ("If-Match", '"99999999999999999999"'),
        ("Rehearsal-Expected-Version", "-1"),
        ("Rehearsal-Expected-Version", "\u0663"),
        ("Rehearsal-Correlation-Id", "x" * 4_000),
        ("Rehearsal-Causation-Id", "\xff"),
        ("Rehearsal-Occurred-At", "yesterday"),
        ("Rehearsal-Occurred-At", "2020-01-02T00:00:00"),
        ("Rehearsal-Occurred-At", "0001-01-01T00:00:00+14:00"),
    ],
)
async def test_a_bad_header_is_named(name: str, value: str, world: World) -> None:
    headers = {**world.bearer(scopes=["import"]), name: value}
    answer = await world.send(create_persona(), headers=headers)
    assert is_problem(answer, 400, f"headers.{name}")
    assert (await world.log.head()).position == 0


async def test_a_command_needs_an_id(world: World) -> None:
    answer = await world.request(
        "POST",
        "/v1/commands",
        data=msgspec.json.encode(create_persona()),
        headers={**world.bearer(), "Content-Type": "application/json"},
    )
    assert is_problem(answer, 400, "headers.Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", None),
        (b"{", None),
        (b"nul", None),
        (b"7", "$"),
        (b"\xff", None),
        (b"{}", "$.type"),
        (b'{"type":"testing.CreatePerson"}', "$.type"),
        (b'{"type":"testing.OpenReferences"}', "$.type"),
        (b'{"a":' * 100_000, None),
        (msgspec.json.encode(create_persona(name="a\0b")), "$.name"),
        (msgspec.json.encode(create_persona(name=10**17)), "$.name"),
        (msgspec.json.encode(create_persona(colour="red")), "$.colour"),
        (msgspec.json.encode(create_persona(tags={"a": 1})), "$.tags[...]"),
        (msgspec.json.encode(create_persona(persona_id="x")), "$.persona_id"),
    ],
)
async def test_a_bad_body_is_named_and_nothing_is_stored(
    body: bytes, path: str | None, world: World
) -> None:
    assert is_problem(await world.send(body), 400, path)
    assert (await world.log.head()).position == 0


async def test_a_large_command_is_refused(world: World) -> None:
    for size in (1 << 20, 20 << 20):
        answer = await world.send(b" " * size + b"{}")
        assert is_problem(answer, 413)


async def test_other_bodies_are_not_taken(world: World) -> None:
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "br"},
    ):
        answer = await world.send(create_persona(), headers=headers)
        assert is_problem(answer, 415)


async def test_who_may_not_is_forbidden(world: World) -> None:
    headers = world.bearer(roles=["viewer"])
    assert is_problem(await world.send(create_persona(), headers=headers), 403)


async def test_without_a_token_nothing_is_answered(world: World) -> None:
    for method, path in (
        ("POST", "/v1/commands"),
        ("GET", "/v1/testing/simulation_personas"),
        ("GET", "/v1/testing/simulation_personas/1"),
        ("GET", "/v1/events"),
        ("GET", "/v1/streams/x"),
        ("POST", "/v1/blobs"),
        ("GET", "/v1/blobs/" + "0" * 64),
    ):
        answer = await world.request(method, path)
        assert is_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rehearsal"'


async def test_a_bad_token_is_refused_with_the_reason(world: World) -> None:
    expired = world.token(lifetime=timedelta(seconds=-1))
    for header, reason in (
        (f"Bearer {expired}", "expired"),
        ("Bearer ", "JWT"),
        ("Bearer a.b.c", "JWT"),
        ("Basic YTpi", "scheme"),
        (f"Bearer {expired}x", "signature|JWT"),
    ):
        answer = await world.send(create_persona(), headers={"Authorization": header})
        assert is_problem(answer, 401)
        assert any(word in answer.json["detail"] for word in reason.split("|"))
        assert "invalid_token" in answer.headers["WWW-Authenticate"]


def enveloped(**fields: object) -> dict[str, Any]:
    return {"command_id": str(new_id()), "command": create_persona(), **fields}


async def batch(world: World, content: object, **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return await world.request(
        "POST",
        "/v1/commands",
        data=body,
        headers={**world.bearer(), "Content-Type": "application/json", **headers},
    )


async def test_a_batch_has_a_verdict_for_each(world: World) -> None:
    good, other = enveloped(), enveloped(org_id="acme", actor="user:ada")
    bad = [
        enveloped(org_id="umbrella"),
        enveloped(actor="user:bob"),
        enveloped(occurred_at="2020-01-01T00:00:00Z"),
        enveloped(occurred_at="2020-01-01T00:00:00"),
        enveloped(command=create_persona(name=7)),
        enveloped(command=create_persona(tags={"n": "\0"})),
        enveloped(expected_version=-1),
        enveloped(expected_version=10**17, colour="red"),
        {"command": create_persona()},
        7,
    ]
    answer = await batch(world, [good, *bad, other, good])
    assert answer.status == 200
    first, *failed, second, again = answer.json
    assert first["status"] == second["status"] == "ok"
    assert first["command_id"] == good["command_id"]
    assert again["position"] == first["position"]
    assert [(verdict["status"], verdict.get("path")) for verdict in failed] == [
        (403, "$.org_id"),
        (403, "$.actor"),
        (403, "$.occurred_at"),
        (400, "$.occurred_at"),
        (400, "$.command.name"),
        (400, "$.command.tags.n"),
        (400, "$.expected_version"),
        (400, "$.colour"),
        (400, "$.command_id"),
        (400, "$"),
    ]
    assert failed[0]["command_id"] == bad[0]["command_id"]  # type: ignore[index] # an envelope


async def test_a_batch_of_lines_is_answered_in_lines(world: World) -> None:
    lines = [msgspec.json.encode(enveloped()), b"", b"{", b"\xff"]
    answer = await batch(
        world, b"\r\n".join(lines), **{"Content-Type": "application/x-ndjson"}
    )
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    verdicts = [msgspec.json.decode(line) for line in answer.body.splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["ok", 400, 400]


async def test_a_batch_sees_its_own_writes_in_order(world: World) -> None:
    persona_id = new_id()
    gone = {"type": "testing.DeletePersona", "persona_id": str(persona_id)}
    answer = await batch(
        world,
        [
            enveloped(command=create_persona(persona_id)),
            enveloped(command=gone),
            enveloped(command=create_persona(persona_id, name="Bea")),
        ],
    )
    statuses = [verdict["status"] for verdict in answer.json]
    assert statuses[:2] == ["ok", "ok"]
    assert statuses[2] in {404, 422}


async def test_a_batch_has_limits(world: World) -> None:
    assert is_problem(await batch(world, []), 400)
    assert is_problem(await batch(world, [0] * 1_001), 413)
    assert is_problem(await batch(world, b"[" + b" " * (17 << 20)), 413)
    assert is_problem(await batch(world, b"[" * 100_000), 400)
    assert is_problem(await batch(world, b"[{}"), 400)


async def test_an_unavailable_log_says_nothing_of_itself(world: World) -> None:
    async def away(*_: object) -> None:
        message = "could not connect to 10.0.0.7 as rehearsal_app"
        raise Unavailable(message)

    world.handler.handle = away  # type: ignore[method-assign,assignment] # the log is away
    with capture_logs() as lines:
        answer = await world.send(create_persona())
    assert is_problem(answer, 503)
    assert answer.headers["Retry-After"] == "1"
    assert b"10.0.0.7" not in answer.body
    assert "10.0.0.7" in lines[-1]["reason"]


async def test_a_defect_is_logged_and_says_nothing_of_itself(world: World) -> None:
    async def defective(*_: object) -> None:
        message = "SELECT secret"
        raise ZeroDivisionError(message)

    world.handler.handle = defective  # type: ignore[method-assign,assignment] # a defect
    with capture_logs() as lines:
        answer = await world.send(create_persona())
    assert is_problem(answer, 500)
    assert b"secret" not in answer.body
    assert b"Traceback" not in answer.body
    (line,) = [each for each in lines if each["event"] == "request_handled"]
    assert line["log_level"] == "error"
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert line["instance"] == answer.json["instance"]


async def test_each_request_is_one_line_in_the_log(world: World) -> None:
    with capture_logs() as lines:
        await world.send(create_persona())
        await world.send(b"{}")
        await world.request("GET", "/nowhere/at/all")
    told = [
        (line["log_level"], line["method"], line["route"], line["status"])
        for line in lines
        if line["event"] == "request_handled"
    ]
    assert told == [
        ("info", "POST", "/v1/commands", 200),
        ("warning", "POST", "/v1/commands", 400),
        ("info", "GET", "unknown", 404),
    ]


async def test_what_is_forbidden_is_logged_with_who_asked(world: World) -> None:
    with capture_logs(processors=[log_context.merge]) as lines:
        viewer = world.bearer(roles=["viewer"])
        assert is_problem(await world.send(create_persona(), headers=viewer), 403)
        nobody = {"Authorization": "Bearer nonsense"}
        assert is_problem(await world.send(create_persona(), headers=nobody), 401)
    told = [
        (line["log_level"], line["status"], line["problem"], line.get("actor_id"))
        for line in lines
        if line["event"] == "request_handled"
    ]
    assert told == [
        ("warning", 403, "forbidden", "user:ada"),
        ("warning", 401, "unauthenticated", None),
    ]
    assert "nonsense" not in str(lines)


async def test_unknown_paths_and_methods_are_problems(world: World) -> None:
    assert is_problem(await world.request("GET", "/v2"), 404)
    answer = await world.request("DELETE", "/v1/commands")
    assert is_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"


async def test_proxies_of_ours_tell_the_address() -> None:
    async with open_world(limits=Limits(proxies=1)) as world:
        forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
        await world.send(create_persona(), headers=forwarded)
        await world.send(create_persona(), headers={"X-Forwarded-For": "<script>"})
        await world.send(create_persona())
        recorded = await world.log.read(0)
    addresses = {each.correlation_id: each.ip for each in recorded}
    assert list(addresses.values()) == ["203.0.113.9", None, "127.0.0.1"]


async def test_many_at_once_each_take_effect_once(world: World) -> None:
    commands = [(create_persona(), new_id()) for _ in range(20)]
    answers = await asyncio.gather(
        *(
            world.send(command, command_id=command_id)
            for command, command_id in commands * 2
        )
    )
    assert sorted(answer.json["status"] for answer in answers) == (
        ["duplicate"] * 20 + ["ok"] * 20
    )


async def test_metrics_count_commands_and_their_events(world: World) -> None:
    made = await world.send(create_persona())
    persona_id = UUID(made.json["stream_id"][-36:])
    await world.send(create_persona(persona_id, name="Bea"))
    value = world.metrics.registry.get_sample_value
    kind = "testing.CreatePersona"
    assert value("rehearsal_commands_total", {"type": kind, "outcome": "ok"}) == 1
    assert value("rehearsal_events_appended_total") == made.json["events"]
    assert value("rehearsal_command_seconds_count", {"type": kind}) == 2
    assert (
        value(
            "rehearsal_http_requests_total",
            {"method": "POST", "route": "/v1/commands", "status": "200"},
        )
        == 1
    )


async def test_a_forged_organisation_is_refused(world: World) -> None:
    head, _, signature = world.token().split(".")
    _, claims, _ = ISSUER.issue("user:ada", org="umbrella").split(".")
    headers = {"Authorization": f"Bearer {head}.{claims}.{signature}"}
    assert is_problem(await world.send(create_persona(), headers=headers), 401)
