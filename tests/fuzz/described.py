"""The published description, taken at its word by schemathesis, in all of its phases.

Each operation is asked with its examples, with the edges of every schema, with values
by chance, and in sequences where one answer leads to the next. No answer may be a
server's error, and each must be as described: status, headers, media type and schema.
"""

from typing import Any, Final

from schemathesis import openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.fuzz.wire import Reply, Wire


CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
REQUEST_SECONDS: Final = 15.0


def campaign(wire: Wire, *, examples: int, start: int, operations: str = "") -> None:
    """Ask operations with so many examples in each phase that draws them.

    `operations` is a regular expression that finds their paths.
    """
    schema = openapi.from_url(
        f"http://127.0.0.1:{wire.port}/v1/openapi.json",
        config=config(wire, examples, start),
    )
    for event in from_schema(schema.include(path_regex=operations)).execute():
        match event:
            case events.ScenarioFinished():
                report(wire, event)
            case events.NonFatalError():
                wire.findings.add(
                    "schemathesis stopped at an operation", str(event.value)
                )
            case events.FatalError():
                wire.findings.add("schemathesis stopped", str(event.exception))
            case _:
                pass


def config(wire: Wire, examples: int, start: int) -> SchemathesisConfig:
    """Return what schemathesis is to do."""
    checks: dict[str, Any] = {"enabled": False}
    checks |= {name: {"enabled": True} for name in CHECKS}
    return SchemathesisConfig.from_dict(
        {
            "seed": start,
            "base-url": f"http://127.0.0.1:{wire.port}",
            "headers": {"Authorization": f"Bearer {wire.token}"},
            "request-timeout": REQUEST_SECONDS,
            "continue-on-failure": True,
            "workers": 1,
            "checks": checks,
            "generation": {
                "max-examples": examples,
                "no-shrink": True,
                "database": "none",
                "deterministic": False,
            },
        }
    )


def report(wire: Wire, event: events.ScenarioFinished) -> None:
    """Count a scenario's requests, and add what its checks found."""
    phase = event.phase.name.lower().replace("_", " ")
    for interaction in event.recorder.interactions.values():
        response = interaction.response
        if response is None:
            continue
        reply = Reply(
            response.status_code,
            response.headers.get("content-type", [""])[0].partition(";")[0],
            response.content,
            {},
        )
        told = f"{interaction.request.method} {interaction.request.uri[:200]}"
        wire.judge(f"schemathesis: {phase}", reply, told)
        wire.account(interaction.request.method, interaction.request.uri, reply)
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.status is Status.FAILURE and check.failure_info is not None:
                failure = check.failure_info.failure
                wire.findings.add(
                    f"schemathesis: {check.name}", f"{failure} {failure.operation}"
                )
