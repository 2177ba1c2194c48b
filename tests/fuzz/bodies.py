"""Bodies, paths and methods that no client of good faith sends."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from services.http.commands import PATH
from services.http.limits import Limits
from tests.fuzz.making import NEVER, NOT_JSON, SELDOM, encoded
from tests.fuzz.stack import OTHER_ORG, Stack
from tests.fuzz.wire import JSON, NDJSON, REFUSED, Wire


ANY: Final = (200, *REFUSED)
DELETE: Final = {
    "type": "testing.DeletePersona",
    "persona_id": "01970000-0000-7000-8000-0000000000ff",
}
PATHS: Final = (
    "/", "//", "/v1", "/v1/", "/v2/commands", "/V1/commands", "/v1/commands/",
    "//v1/commands",
    "/v1//commands", "/v1/nothing/nothing", "/v1/testing/pg_catalog",
    "/v1/pg_catalog/pg_authid", "/v1/es/events", "/v1/testing/agents__v1",
    "/v1/testing/agents%00", "/v1/testing/agents%2f..%2fmetrics", "/v1/testing/%ff%fe",
    "/v1/testing/agents;x=1", "/v1/%74esting/agents%20", "/v1/testing/" + "a" * 7_000,
    "/v1/testing/agents/" + "a/" * 500, "/v1/..%c0%af..%c0%afetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd", "/v1/docs/../../../etc/passwd", "/.git/config",
    "/.env",
    "/favicon.ico", "/v1/testing/\u202e".encode().decode("latin-1"), "/metrics",
    "/livez",
    "/v1/openapi.json/..", "/v1/problems/%00", "/v1/problems/<script>", "/v1/%25%30%30",
)  # fmt: skip
METHODS: Final = ("PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FOO", "post")
TARGETS: Final = (
    PATH,
    "/v1/events",
    "/v1/blobs",
    "/v1/testing/agents",
    "/v1/testing/agents/1",
    "/v1/openapi.json",
    "/v1/nothing",
)


def campaign(wire: Wire, stack: Stack) -> None:
    """Send everything on the list once."""
    whole_bodies(wire)
    media_types(wire)
    sizes(wire, stack.limits)
    batches(wire, stack.limits)
    other_organisation(wire, stack)
    for path in PATHS:
        target = quote(path, safe="/%;?=<>") if not path.isascii() else path
        wire.ask("path: a trick", "GET", target, expect=REFUSED)
    for method in METHODS:
        for target in TARGETS:
            wire.ask(f"method: {method}", method, target, expect=REFUSED)
    for target in TARGETS[3:5]:
        wire.ask(
            "method: POST", "POST", target, {"Content-Type": JSON}, b"{}", expect=(405,)
        )


def whole_bodies(wire: Wire) -> None:
    """Send what is no command at all, as a body of every form."""
    for name, body in {**NEVER, **NOT_JSON, **SELDOM}.items():
        expect = (200, 400, 413) if body.startswith(b"[") else (400,)
        wire.command(f"body: {name}", body, expect=expect)
        lines = {"Content-Type": NDJSON}
        blank = not body.strip()
        wire.ask(
            f"body: {name}",
            "POST",
            PATH,
            lines,
            body,
            expect=(400,) if blank else (200,),
        )
    for name, body in {
        "a byte order mark": b"\xef\xbb\xbf" + encoded(DELETE),
        "UTF-16": encoded(DELETE).decode().encode("utf-16"),
        "UTF-32": encoded(DELETE).decode().encode("utf-32"),
        "two commands": encoded(DELETE) * 2,
        "a form": b"type=testing.DeletePersona",
        "XML": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        "only space": b" \t\r\n" * 1_000,
        "NUL bytes": b"\0" * 1_000,
        "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
    }.items():
        wire.command(f"body: {name}", body, expect=(400,))


def media_types(wire: Wire) -> None:
    """Send a good command as what it is not."""
    body = encoded(DELETE)
    for kind in (
        "", "text/plain", "application/xml", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x", "application/jsonp", "application/json-seq",
        "json", "*/*", "a" * 5_000, "application/json/json", "\xff",
    ):  # fmt: skip
        wire.command("media: another type", body, {"Content-Type": kind}, expect=(415,))
    bomb = gzip.compress(b"[" + b" " * (64 << 20) + b"]")
    for coding, packed in (
        ("gzip", gzip.compress(body)),
        ("gzip", bomb),
        ("deflate", zlib.compress(body)),
        ("br", body),
        ("zstd", body),
        ("nonsense", body),
        ("identity, gzip", body),
    ):
        headers = {"Content-Encoding": coding}
        wire.command("media: an encoding", packed, headers, expect=(415,))
        kept = {**headers, "Content-Type": "text/plain"}
        wire.ask("media: an encoding", "POST", "/v1/blobs", kept, packed, expect=(415,))
    for kind in ("no type", "a/b/c", "\xff/\xff", "a/" + "b" * 200):
        kept = {"Content-Type": kind}
        wire.ask("media: a blob", "POST", "/v1/blobs", kept, b"x", expect=(201, 400))


def sizes(wire: Wire, limits: Limits) -> None:
    """Send a byte too many of everything."""
    padded = encoded(DELETE)[:-1] + b" " * limits.command_bytes + b"}"
    wire.command("size: a command", padded, expect=(413,))
    body = b"[" + b" " * limits.batch_bytes + b"]"
    wire.command("size: a batch", body, expect=(413, 0))
    lines = {"Content-Type": NDJSON}
    wire.ask("size: lines", "POST", PATH, lines, body, expect=(413, 0))
    blob = b"x" * (limits.blob_bytes + 1)
    wire.ask("size: a blob", "POST", "/v1/blobs", None, blob, expect=(413, 0))
    for name, headers in (
        ("a header", {"X-Long": "x" * 100_000}),
        ("a header's name", {"X" * 10_000: "x"}),
        ("5,000 headers", {f"X-{number}": "x" for number in range(5_000)}),
    ):
        wire.ask(f"size: {name}", "GET", "/v1/events", headers, expect=(*ANY, 0))
    query = "x=" + "1&x=" * 2_000
    wire.ask("size: a query", "GET", f"/v1/testing/agents?{query}", expect=REFUSED)


def batches(wire: Wire, limits: Limits) -> None:
    """Send batches that are too long, empty, or made of bad lines."""
    full = [
        encoded({"command_id": str(wire.new_id()), "command": DELETE})
        for _ in range(limits.batch_commands + 1)
    ]
    forms: tuple[tuple[str, Callable[[list[bytes]], bytes]], ...] = (
        (JSON, lambda each: b"[" + b",".join(each) + b"]"),
        (NDJSON, b"\n".join),
    )
    for kind, form in forms:
        headers = {"Content-Type": kind}
        wire.ask(
            "batch: one too many", "POST", PATH, headers, form(full), expect=(413,)
        )
        for bad in bad_envelopes(wire):
            found = wire.ask(
                "batch: a bad line",
                "POST",
                PATH,
                headers,
                form([bad]),
                expect=(200, 400),
            )
            if found.status == 200 and b'"status":40' not in found.body:
                wire.findings.add("a bad line of a batch was accepted", f"{bad!r}")
    for body in (b"[]", b" [ ] ", b"[,]", b"[1,]", b"[", b"[[]]x"):
        wire.command("batch: empty or broken", body, expect=(400,))
    wire.ask(
        "batch: blank lines",
        "POST",
        PATH,
        {"Content-Type": NDJSON},
        b"\n\n \n",
        expect=(400,),
    )


def bad_envelopes(wire: Wire) -> Iterator[bytes]:
    """Yield envelopes that are refused, whatever their command."""
    good = {"command_id": str(wire.new_id()), "command": DELETE}
    changes: tuple[dict[str, object], ...] = (
        {"command_id": None},
        {"command_id": "1"},
        {"command_id": 10**30},
        {"command": None},
        {"command": []},
        {"command": "text"},
        {"command": {"type": "testing.Nothing"}},
        {"expected_version": -1},
        {"expected_version": 1.5},
        {"expected_version": 10**30},
        {"expected_version": "1"},
        {"correlation_id": "x"},
        {"causation_id": 1},
        {"occurred_at": "2026-05-01T12:00:00"},
        {"occurred_at": "0001-01-01T00:00:00+14:00"},
        {"occurred_at": "9999-12-31T23:59:59-14:00"},
        {"occurred_at": 1},
        {"on_behalf_of": "user:a\0b"},
        {"on_behalf_of": f"user:{10**30}"},
        {"on_behalf_of": 1},
        {"org_id": "somebody's"},
        {"org_id": "a\0b"},
        {"actor": "user:else"},
        {"roles": ["admin"]},
        {"ip": "127.0.0.1"},
    )
    for change in changes:
        yield encoded({**good, **change})
    yield from (b"null", b"1", b'"x"', b"{}", b"[]", b"{", b"\xff", b"[" * 100_000)


def other_organisation(wire: Wire, stack: Stack) -> None:
    """Ask for things of another organisation, which do not exist for the asker."""
    persona = str(wire.new_id())
    create = {"type": "testing.CreatePersona", "persona_id": persona, "name": "Mira"}
    create |= {"role": "reader", "preferred_language": "en", "timezone": "UTC"}
    create |= {"background": "Reads."}
    theirs = f"Bearer {stack.token(org=OTHER_ORG)}"
    wire.command("organisation: ours", encoded(create), expect=(200,))
    for command in (
        {"type": "testing.DeletePersona", "persona_id": persona},
        {"type": "testing.ChangePersonaDetails", "persona_id": persona, "name": "Mine"},
        create,
    ):
        headers = {"Authorization": theirs}
        wire.command(
            "organisation: theirs", encoded(command), headers, expect=(404, 409)
        )
    for target in (
        f"/v1/streams/testing.persona-{persona}",
        f"/v1/testing/simulation_personas/{persona}",
        f"/v1/testing/simulation_personas/{persona}?as_of=1",
    ):
        headers = {"Authorization": theirs}
        wire.ask("organisation: theirs", "GET", target, headers, expect=(404,))
    headers = {"Authorization": theirs}
    for target in ("/v1/events", "/v1/testing/simulation_personas"):
        reply = wire.ask("organisation: theirs", "GET", target, headers, expect=(200,))
        found = msgspec.json.decode(reply.body, type=dict[str, object])
        if found.get("rows") or found.get("events"):
            wire.findings.add("another organisation's rows are shown", target)
