"""Every decoder of what comes from outside: nothing but its own refusals escapes.

What a decoder takes is encoded and decoded again, and has to be the same.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from events.errors import Failure
from infra.operations.importing import planned
from infra.settings import FIELDS, PREFIX, SettingsError, load_settings
from services.commanding import Envelope
from services.decoding import command_decoder, decode_json, split_json
from services.routing import COMMANDS
from services.testing.unit_tests import Criterion
from tests.chaos.findings import Findings
from tests.fuzz.commands import Draw, exercise
from tests.fuzz.counting import Counts
from tests.fuzz.files import RECORDS
from tests.fuzz.making import (
    KINDS,
    NEVER,
    NOT_JSON,
    SELDOM,
    STRATEGIES,
    made_of,
    places,
    spoiled,
)


POISONS: Final = {**NEVER, **NOT_JSON, **SELDOM}
ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
VALUES: Final = (
    "", "0", "-1", "99999999999999999999", "1e400", "NaN", "\ud800", "x" * 9_000, "é",
    "postgresql://u:p@h/d", "postgres://", "json", "true", ",", "/",
)  # fmt: skip

decode_command: Final = command_decoder(COMMANDS.values())


def campaign(findings: Findings, counts: Counts, *, examples: int, start: int) -> None:
    """Give each decoder so many examples: good, spoiled in one place, and noise."""
    envelope = {"command_id": "01970000-0000-7000-8000-000000000001", "command": {}}
    criterion = made_of(Criterion)
    commands = st.sampled_from(KINDS).flatmap(STRATEGIES.__getitem__)
    decoders: Mapping[str, tuple[st.SearchStrategy[Any], Callable[[bytes], Any]]] = {
        "commands": (commands, again(decode_command)),
        "envelopes": (
            commands.map(lambda each: {**envelope, "command": each}),
            lambda raw: decode_json(raw, Envelope),
        ),
        "criteria": (
            criterion,
            again(lambda raw: decode_json(raw, Criterion)),
        ),
        "batches": (st.lists(commands, max_size=3), split_json),
        "tau-bench files": (
            RECORDS,
            lambda raw: planned(raw, "0" * 64, "library", None),
        ),
    }
    for name, (good, decode) in decoders.items():
        exercise(examples, start, one(findings, counts, name, good, decode))
    exercise(examples, start, settings_of(findings, counts))


def one(
    findings: Findings,
    counts: Counts,
    name: str,
    good: st.SearchStrategy[Any],
    decode: Callable[[bytes], Any],
) -> Callable[[Draw], None]:
    """Return the test of one decoder."""

    def test(draw: Draw) -> None:
        raw = bytes_of(draw, good)
        counts.cases[f"decoder: {name}"] += 1
        try:
            decode(raw)
        except Failure as failure:
            counts.problems[type(failure).__name__] += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            findings.add(
                f"{name}: {type(error).__name__} escapes", f"{error} {raw[:200]!r}"
            )

    return test


def bytes_of(draw: Draw, good: st.SearchStrategy[Any]) -> bytes:
    """Return bytes for a decoder: one in four good, one in four noise."""
    kind = draw(st.integers(0, 7))
    if kind == 0:
        return bytes(draw(st.binary(max_size=60)))
    value = draw(good) if kind > 1 else draw(ANYTHING)
    if kind <= 3:
        return json.dumps(value).encode()
    path = draw(st.sampled_from(list(places(value))))
    return spoiled(value, path, POISONS[draw(st.sampled_from(sorted(POISONS)))])


def again(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a decoder that decodes what it took once more, and compares."""

    def twice(raw: bytes) -> None:
        value = decode(raw)
        stored = msgspec.json.encode(value)
        assert decode(stored) == value, "what is stored reads as something else"
        assert b"\\u0000" not in stored.replace(b"\\\\", b""), "a NUL is stored"

    return twice


def settings_of(findings: Findings, counts: Counts) -> Callable[[Draw], None]:
    """Return the test of the settings: they are taken, or refused by name."""
    names = st.sampled_from([PREFIX + name.upper() for name in FIELDS]) | st.text(
        st.characters(codec="ascii", min_codepoint=33, exclude_characters="=\x7f"),
        max_size=12,
    ).map(PREFIX.__add__)
    values = st.sampled_from(VALUES) | st.text(max_size=20)

    def test(draw: Draw) -> None:
        given = draw(st.dictionaries(names, values, max_size=4))
        counts.cases["decoder: settings"] += 1
        try:
            load_settings(environment=given)
        except SettingsError as error:
            counts.problems["SettingsError"] += 1
            if "\n" in str(error).strip() and "\n" not in "".join(given.values()):
                findings.add("settings: a complaint of several lines", str(error))
        except Exception as error:  # noqa: BLE001 - what is looked for
            findings.add(
                f"settings: {type(error).__name__} escapes", f"{error} {given}"
            )

    return test
