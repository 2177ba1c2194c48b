"""What the declared policies say, worked out row by row without a database.

A predicate is read as SQL means it, NULL and all, over a row and who asks; the
functions of `access` are answered from the rows. This is a second implementation of
the policies: it shares with the first their text, and nothing else.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from events.roles import ROLES, holds
from projections.projection import Table


Row = Mapping[str, Any]

_WORDS: Final = re.compile(
    r"\s*(?:(?P<text>'[^']*')|(?P<name>[a-z_][\w.]*)|(?P<sign>::[\w\[\]]+|[()=,]))",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks: what a token or a login proves."""

    org: str
    actor: str
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    email: str | None = None

    @property
    def id(self) -> str:
        return self.actor.partition(":")[2]


class Oracle:
    """Says which rows of which tables somebody sees."""

    def __init__(
        self, tables: Mapping[str, Table], rows: Mapping[str, Sequence[Row]]
    ) -> None:
        self._tables = tables
        self._rows = rows
        self._predicates: dict[str, Predicate] = {}
        self._known: dict[tuple[str, Asker], frozenset[str]] = {}
        sessions = "playgrounds.evaluation_sessions"
        self._functions: Mapping[str, Callable[[Asker], object]] = {
            "current_org": lambda asker: asker.org,
            "current_actor": lambda asker: asker.actor,
            "current_actor_id": lambda asker: asker.id,
            "current_email": lambda asker: asker.email,
            "current_seal": lambda asker: f"{asker.org}/{asker.id}",
            "opened": lambda asker: "events" in asker.scopes,
            "listing_playgrounds": self._listing,
            "evaluated_playgrounds": lambda asker: self._column(
                sessions, "playground_id", asker, tester=asker.id
            ),
            "open_playgrounds": lambda asker: self._column(
                "playgrounds.playgrounds", "id", asker
            ),
            "evaluating_users": lambda asker: self._column(
                sessions, "user_id", asker, owner=asker.id
            ),
        }

    def seen(self, name: str, asker: Asker) -> Iterator[Row]:
        """Yield the rows of a table that somebody sees."""
        yield from self.among(self._tables[name], self._rows[name], asker)

    def among(self, table: Table, rows: Iterable[Row], asker: Asker) -> Iterator[Row]:
        """Yield those of some rows that the policy of a table shows to somebody."""
        if not table.everyone and not any(
            holds(asker.roles, role, table.schema) for role in ROLES
        ):
            return
        for row in rows:
            if self.holds(table.rows, row, asker):
                yield row

    def holds(self, predicate: str, row: Row, asker: Asker) -> bool:
        """Say whether a predicate is true of a row and who asks."""
        if predicate not in self._predicates:
            self._predicates[predicate] = read(predicate)
        return self._predicates[predicate](Case(self, row, asker)) is True

    def answer(self, function: str, args: Sequence[Any], asker: Asker) -> Any:  # noqa: ANN401 - SQL values
        """Return what a function of `access` comes to; `has_role` alone takes some."""
        if function == "has_role":
            area, role = args
            return holds(asker.roles, role, area)
        return self._functions[function](asker)

    def _listing(self, asker: Asker) -> frozenset[str]:
        if asker.email is None:
            return frozenset()
        return self._column(
            "playgrounds.access_list", "playground_id", asker, email=asker.email
        )

    def _column(
        self, table: str, column: str, asker: Asker, **equal: object
    ) -> frozenset[str]:
        asked = f"{table} {column} {sorted(equal)}"
        if (asked, asker) not in self._known:
            self._known[asked, asker] = frozenset(
                str(row[column])
                for row in self.seen(table, asker)
                if all(row[name] == value for name, value in equal.items())
            )
        return self._known[asked, asker]


@dataclass(frozen=True)
class Case:
    """What a predicate is asked about."""

    oracle: Oracle
    row: Row
    asker: Asker


Value = Callable[[Case], Any]
Predicate = Callable[[Case], bool | None]


def read(predicate: str) -> Value:
    """Return what a predicate means; what is not read here raises."""
    reader = _Reader(predicate)
    found = reader.either()
    assert reader.word is None, f"{predicate} goes on at {reader.word}"
    return found


def columns_of(predicate: str) -> frozenset[str]:
    """Return the columns that a predicate looks at."""
    reader = _Reader(predicate)
    reader.either()
    return frozenset(reader.columns)


class _Reader:
    """Reads OR, AND, NOT, =, = ANY, IS NULL, names, texts, casts and calls."""

    def __init__(self, predicate: str) -> None:
        self._words = list(_words(predicate))
        self.columns: set[str] = set()

    @property
    def word(self) -> str | None:
        return self._words[0] if self._words else None

    def _take(self, *words: str) -> bool:
        if self.word is not None and self.word.upper() in words:
            self._words.pop(0)
            return True
        return False

    def _need(self, word: str) -> None:
        assert self._take(word), f"{word} was expected, not {self.word}"

    def either(self) -> Value:
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda case: _any(parts, case)

    def _both(self) -> Value:
        parts = [self._one()]
        while self._take("AND"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda case: _all(parts, case)

    def _one(self) -> Value:
        if self._take("NOT"):
            inner = self._one()
            return lambda case: _not(inner(case))
        left = self._value()
        if self._take("IS"):
            negated = self._take("NOT")
            self._need("NULL")
            return lambda case: (left(case) is None) != negated
        if not self._take("="):
            return left
        if self._take("ANY"):
            self._need("(")
            among = self._value()
            self._need(")")
            return lambda case: _among(left(case), among(case))
        right = self._value()
        return lambda case: _equal(left(case), right(case))

    def _value(self) -> Value:
        found = self._atom()
        while self.word is not None and self.word.startswith("::"):
            self._words.pop(0)
        return found

    def _atom(self) -> Value:
        if self._take("("):
            inner = self.either()
            self._need(")")
            return inner
        word = self._words.pop(0)
        if word.startswith("'"):
            return lambda _case: word[1:-1]
        if not self._take("("):
            self.columns.add(word)
            return lambda case: case.row[word]
        args: list[Value] = []
        while not self._take(")"):
            args.append(self._value())
            self._take(",")
        schema, _, function = word.partition(".")
        assert schema == "access", f"{word} is no function of access"
        return lambda case: case.oracle.answer(
            function, [each(case) for each in args], case.asker
        )


def _words(predicate: str) -> Iterator[str]:
    at = 0
    while predicate[at:].strip():
        found = _WORDS.match(predicate, at)
        assert found is not None, f"{predicate[at:]} is not read here"
        yield found[found.lastgroup or 0]
        at = found.end()


def _any(parts: Sequence[Value], case: Case) -> bool | None:
    unknown = False
    for part in parts:
        found = part(case)
        if found:
            return True
        unknown |= found is None
    return None if unknown else False


def _all(parts: Sequence[Value], case: Case) -> bool | None:
    unknown = False
    for part in parts:
        found = part(case)
        if found is False:
            return False
        unknown |= found is None
    return None if unknown else True


def _not(value: bool | None) -> bool | None:  # noqa: FBT001 - of three values
    return None if value is None else not value


def _equal(left: object, right: object) -> bool | None:
    return None if left is None or right is None else str(left) == str(right)


def _among(left: object, right: frozenset[str] | None) -> bool | None:
    return None if left is None or right is None else str(left) in right
