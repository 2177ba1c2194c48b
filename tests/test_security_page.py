"""The page of what is held against whom: whole, and every test that it names is there.

The numbers are those of OWASP's Application Security Verification Standard 5.0.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import pytest


ROOT: Final = Path(__file__).parents[1]
PAGE: Final = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ADOPTED: Final = """
1.2.4 1.2.10 1.3.1 1.3.6 1.3.12 1.5.2 2.2.1-2.2.3 2.3.1 2.3.3 2.3.4 2.4.1
3.3.1-3.3.4 3.4.1-3.4.6 3.5.1-3.5.4 4.1.3 4.4.2
5.2.1-5.2.3 5.3.2 5.4.1
6.2.1 6.2.4-6.2.9 6.2.12 6.3.1 6.3.2 6.3.8
8.2.1-8.2.3 8.3.1-8.3.3 8.4.1
9.1.1-9.1.3 9.2.1-9.2.4
11.3.2 11.3.4 11.4.2 11.5.1
13.1.2 13.1.3 13.2.2 13.2.4 13.2.5 13.3.1 13.4.2 13.4.5
14.2.1 14.2.7 15.1.2 15.2.2 15.3.1 15.3.3 15.4.2
16.2.1-16.2.5 16.3.1-16.3.4 16.4.1 16.4.2 16.5.1-16.5.4
"""
ITEM: Final = re.compile(
    r"^- \*\*(?P<number>[0-9]+\.[0-9]+\.[0-9]+) (?P<title>[^*]+\.)\*\*\s+"
    r"(?P<verdict>Held|Partly|Missing|The operator's|Does not apply)\b"
    r"(?P<text>.*(?:\n  .*)*)",
    re.MULTILINE,
)
TEST: Final = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")


class Item(msgspec.Struct, frozen=True):
    """A requirement as the page tells it."""

    number: str
    verdict: str
    tests: list[tuple[str, str]]


ITEMS: Final = [
    Item(found["number"], found["verdict"], TEST.findall(found["text"]))
    for found in ITEM.finditer(PAGE)
]


def numbers(text: str) -> Iterator[str]:
    """Yield every number of a list that may name a first and a last one."""
    for word in text.split():
        first, _, last = word.partition("-")
        section, _, least = first.rpartition(".")
        most = last.rpartition(".")[2] or least
        for each in range(int(least), int(most) + 1):
            yield f"{section}.{each}"


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_requirement_is_on_the_page_once_in_its_order() -> None:
    assert [item.number for item in ITEMS] == list(numbers(ADOPTED))
    assert PAGE.count("\n- **") == len(ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.number)
def test_what_is_held_is_shown_by_tests_that_are_there(item: Item) -> None:
    assert bool(item.tests) == (item.verdict in {"Held", "Partly"})
    for path, name in item.tests:
        assert name in defined_in(path), f"{path} has no {name}"


def test_every_test_that_is_named_is_an_item_s() -> None:
    named = PAGE.count("::test_")
    assert named == sum(len(item.tests) for item in ITEMS)
