"""Commands of every type: as their types allow, and spoiled in one place.

What is never valid is refused with the path of the place, alone and in batches, where
its neighbours get their verdicts all the same.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from services.http.commands import PATH
from services.routing import COMMANDS
from tests.fuzz.making import (
    IDS,
    KINDS,
    NEVER,
    NOT_JSON,
    SELDOM,
    STRATEGIES,
    Json,
    Path,
    encoded,
    named,
    objects,
    open_objects,
    places,
    same_place,
    spoiled,
    with_field,
    with_twice,
    without,
)
from tests.fuzz.wire import JSON, NDJSON, REFUSED, Wire


VARIANTS: Final = 10
ANY: Final = (200, *REFUSED)
UNKNOWN_NAMES: Final = ("id", "org_id", "actor", "__class__", "Type", "x y", "é", "")
UNKNOWN_TYPES: Final = ("", "testing.Nothing", "CreatePersona", "testing.createpersona")

Draw = Callable[[st.SearchStrategy[Any]], Any]


class Spoiled(msgspec.Struct, frozen=True):
    """A command's bytes, and what must become of them."""

    kind: str
    body: bytes
    statuses: tuple[int, ...]
    path: str | None = None


def exercise(examples: int, start: int, test: Callable[[Draw], None]) -> None:
    """Run a test with values that it draws, so many times, the same for a seed."""

    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed(start)
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        test(data.draw)

    run()


def campaign(wire: Wire, *, requests: int, start: int) -> None:
    """Send about so many requests with commands, good and bad."""

    def test(draw: Draw) -> None:
        kind = draw(st.sampled_from(KINDS))
        commands = [draw(STRATEGIES[kind]) for _ in range(2)]
        random = draw(st.randoms(use_true_random=False, note_method_calls=False))
        chance = Random(random.getrandbits(64))  # noqa: S311 - to be repeated
        for number in range(VARIANTS):
            if number % 5:
                send(wire, chance, spoil(chance, chance.choice(commands)))
            else:
                send_batch(wire, chance, commands)

    exercise(max(1, requests // VARIANTS), start, test)


def spoil(chance: Random, command: Json) -> Spoiled:
    """Return a command bad in one place, or good."""
    path = chance.choice([*places(command)][1:])
    return chance.choice(SPOILERS)(chance, command, path)


def good(_chance: Random, command: Json, _path: Path) -> Spoiled:
    """Return a command as it is."""
    return Spoiled("good", encoded(command), ANY)


def never(chance: Random, command: Json, path: Path) -> Spoiled:
    """Return a command with what no field takes."""
    name = chance.choice(sorted(NEVER))
    return Spoiled(name, spoiled(command, path, NEVER[name]), (400,), named(path))


def not_json(chance: Random, command: Json, path: Path) -> Spoiled:
    """Return a command with what is no JSON that we read."""
    name = chance.choice(sorted(NOT_JSON))
    return Spoiled(name, spoiled(command, path, NOT_JSON[name]), (400,))


def seldom(chance: Random, command: Json, path: Path) -> Spoiled:
    """Return a command with what few fields take."""
    name = chance.choice(sorted(SELDOM))
    return Spoiled(name, spoiled(command, path, SELDOM[name]), ANY)


def twice(chance: Random, command: Json, _path: Path) -> Spoiled:
    """Return a command with a field that comes twice."""
    body = with_twice(command, (chance.choice(sorted(command)),), b"1")
    return Spoiled("a field twice", body, ANY)


def unknown(chance: Random, command: Json, _path: Path) -> Spoiled:
    """Return a command with an unknown type, or a field that the type does not have."""
    if chance.random() < 0.5:
        body = encoded({**command, "type": chance.choice(UNKNOWN_TYPES)})
        return Spoiled("an unknown type", body, (400,), "$.type")
    within = chance.choice(objects(command))
    name = chance.choice(UNKNOWN_NAMES)
    body = encoded(with_field(command, within, name, 1))
    if within in open_objects(COMMANDS[command["type"]], command):
        return Spoiled("one more key of a map", body, ANY)
    return Spoiled("an unknown field", body, (400,), named((*within, name)))


def missing(chance: Random, command: Json, _path: Path) -> Spoiled:
    """Return a command without one of its fields."""
    name = chance.choice(sorted(command))
    body = encoded(without(command, (name,)))
    if name in required(command["type"]):
        return Spoiled("a field too few", body, (400,), f"$.{name}")
    return Spoiled("good", body, ANY)


SPOILERS: Final = (
    *(good, good, never, never, not_json, seldom, seldom),
    *(unknown, twice, missing),
)


def required(kind: str) -> set[str]:
    """Return the fields that a command cannot do without."""
    fields = msgspec.structs.fields(COMMANDS[kind])
    return {"type", *(field.name for field in fields if field.required)}


def send(wire: Wire, chance: Random, bad: Spoiled) -> None:
    """Send a command alone, perhaps under headers that are bad too."""
    name, value, path = chance.choice(HEADERS)
    if not name or bad.statuses != ANY:
        wire.command(
            f"command: {bad.kind}", bad.body, expect=bad.statuses, path=bad.path
        )
    else:
        wire.command(
            f"header: {name}", bad.body, {name: value}, expect=REFUSED, path=path
        )


HEADERS: Final[list[tuple[str, str | bytes, str | None]]] = [
    *[("", "", None)] * 30,
    *(
        ("Idempotency-Key", value, "headers.Idempotency-Key")
        for value in ("", "1", "{}", "0" * 33, "g" * 32, "\xff", "\u00a0")
    ),
    *(
        (name, value, f"headers.{name}")
        for name in ("Rehearsal-Correlation-Id", "Rehearsal-Causation-Id")
        for value in ("nobody", "-", "1" * 5_000)
    ),
    *(
        ("Rehearsal-On-Behalf-Of", value, "headers.Rehearsal-On-Behalf-Of")
        for value in ("user:", "user:\xff", f"user:{10**30}", "1" * 5_000)
    ),
    *(
        ("Rehearsal-Occurred-At", value, "headers.Rehearsal-Occurred-At")
        for value in (
            "now",
            "2026-05-01T12:00:00",
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "2026-02-30T00:00:00Z",
            "1e400",
        )
    ),
    *(
        ("If-Match", value, "headers.If-Match")
        for value in ("*", "1", 'W/"1"', '""', '"-1"', '"1", "2"', '"' + "9" * 30 + '"')
    ),
    *(
        ("Rehearsal-Expected-Version", value, "headers.Rehearsal-Expected-Version")
        for value in ("-1", "1.5", "٣", "NaN", "1" + "0" * 30, "0x1", " ")
    ),
]


def send_batch(wire: Wire, chance: Random, commands: Sequence[Json]) -> None:
    """Send good and bad commands together, in either form, and judge each verdict."""
    bads = [spoil(chance, chance.choice(commands)) for _ in range(chance.randint(1, 5))]
    envelopes = [envelope(wire, chance, bad) for bad in bads]
    lines = chance.random() < 0.5
    whole = b"\n".join(envelopes) if lines else b"[%b]" % b",".join(envelopes)
    kind = NDJSON if lines else JSON
    reply = wire.ask(
        f"batch: {kind}",
        "POST",
        PATH,
        {"Content-Type": kind},
        whole,
        expect=(200, 400, 413),
    )
    if reply.status != 200:
        return
    verdicts = reply.body.splitlines() if lines else _elements(reply.body)
    if len(verdicts) != len(bads):
        wire.findings.add("a batch has another number of verdicts", f"{whole[:300]!r}")
        return
    for bad, verdict in zip(bads, verdicts, strict=True):
        judge(wire, bad, verdict)


def envelope(wire: Wire, chance: Random, bad: Spoiled) -> bytes:
    """Return a command in its envelope, which sometimes claims too much."""
    head: dict[str, Json] = {"command_id": str(wire.new_id())}
    claim = chance.choice([*[None] * 6, "org_id", "actor", "expected_version"])
    if claim is not None and bad.statuses == ANY:
        head[claim] = -5 if claim == "expected_version" else "somebody else"
    return encoded(head)[:-1] + b', "command": ' + bad.body + b"}"


def judge(wire: Wire, bad: Spoiled, verdict: bytes) -> None:
    """Judge one verdict of a batch."""
    found = msgspec.json.decode(verdict, type=dict[str, Any])
    status = found.get("status")
    status = 200 if isinstance(status, str) else status
    told = f"{bad.kind} in a batch: {bad.body[:200]!r} -> {verdict[:300]!r}"
    wire.counts.cases[f"in a batch: {bad.kind}"] += 1
    if not isinstance(status, int) or status >= 500:
        wire.findings.add("server error", told)
    elif status not in bad.statuses:
        wire.findings.add("in a batch: another status than expected", told)
    if bad.path is not None and not same_place(
        found.get("path"), f"$.command{bad.path[1:]}"
    ):
        wire.findings.add("in a batch: the problem is elsewhere", told)


def repeat(wire: Wire, *, times: int, start: int) -> None:
    """Send commands again: with the same body, which counts once, and with others."""

    chance = Random(start)  # noqa: S311 - to be repeated
    for _ in range(times):
        key = {"Idempotency-Key": str(wire.new_id())}
        persona = {
            "type": "testing.CreatePersona",
            "persona_id": str(wire.new_id()),
            "name": "Mira",
        }
        for field in required(persona["type"]) - set(persona):
            persona[field] = "en"
        first = wire.command("repeat: first", encoded(persona), key, expect=(200,))
        again = wire.command("repeat: the same", encoded(persona), key, expect=(200,))
        if _position(first.body) != _position(again.body):
            wire.findings.add("a repeated command has another outcome", str(persona))
        persona["name"] = chance.choice(["Mila", "Mir", "mira", "Mira "])
        wire.command("repeat: another body", encoded(persona), key, expect=(422,))
        persona["persona_id"] = IDS[0]
        wire.command("repeat: another body", encoded(persona), key, expect=(422,))


def _position(body: bytes) -> Any:  # noqa: ANN401 - JSON
    return msgspec.json.decode(body, type=dict[str, Any]).get("position")


def _elements(body: bytes) -> list[bytes]:
    return [bytes(each) for each in msgspec.json.decode(body, type=list[msgspec.Raw])]
