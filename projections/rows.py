"""The changes of a page of events, merged in memory so that few statements write them.

A page's changes are a sequence of steps. A `Stretch` holds at most one change for each
key: what happens to a key twice is merged, and the keys of a stretch may be written in
any order, so removals go first, then inserts, then changes. A `Sweep` sets columns
wherever another column has a value; it sees what was written before it, so it ends the
stretch. The rare sequence that does not merge (a row inserted and then removed, which
must still fail if the row was there before) ends the stretch as well.

The database sees what a page comes to. A value that one event of the page sets against
a check, and another sets right, does no harm.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any

from projections.projection import Table, Value


Key = tuple[Value, ...]


class DuplicateKeyError(Exception):
    """A row is inserted whose key is already there."""


class WrongColumnsError(Exception):
    """A change names columns that it cannot have."""


class Change:
    """What happens to a row that may be there already.

    If it is: `sets` are assigned and `amounts` added. If not, and unless `created` is
    None, it is made with the values of `created` and the defaults of other columns.
    A row that is only added to, as most are, has its `created` made when it is asked
    for.
    """

    __slots__ = ("_created", "_defaults", "amounts", "sets")

    def __init__(self) -> None:
        self.sets: dict[str, Value] = {}
        self.amounts: dict[str, int] = {}
        self._created: dict[str, Value] | None = None
        self._defaults: Mapping[str, int] | None = None

    @property
    def created(self) -> dict[str, Value] | None:
        """Return the values with which the row is made if it is not there."""
        defaults = self._defaults
        if self._created is None and defaults is not None:
            return {
                name: defaults.get(name, 0) + amount
                for name, amount in self.amounts.items()
            }
        return self._created

    def make(self, values: dict[str, Value]) -> None:
        """Make the row with values, unless it is there by now."""
        if self.created is None:
            self._created = values

    def patch(self, values: Mapping[str, Value]) -> None:
        """Set columns, if the row is there by now."""
        created = self.created
        if self.amounts:
            for name in values:
                self.amounts.pop(name, None)
        self.sets.update(values)
        if created is not None:
            created.update(values)
            self._created = created

    def add(self, amounts: Mapping[str, int], defaults: Mapping[str, int]) -> None:
        """Add to columns, making the row if it is missing."""
        own = self.amounts
        if not self.sets and self._created is None:
            self._defaults = defaults
            for name, amount in amounts.items():
                own[name] = own.get(name, 0) + amount
            return
        created = self._created
        if created is None:
            created = self._created = {}
        for name, amount in amounts.items():
            if name in self.sets:
                self.sets[name] = plus(self.sets[name], amount)
            else:
                own[name] = own.get(name, 0) + amount
            if name in created:
                created[name] = plus(created[name], amount)
            else:
                created[name] = defaults.get(name, 0) + amount


class Stretch:
    """Changes of rows, at most one a key; a removed key may be inserted again."""

    __slots__ = ("changed", "inserted", "removed")

    def __init__(self) -> None:
        self.removed: dict[Key, None] = {}
        self.inserted: dict[Key, tuple[Value, ...] | list[Value]] = {}
        self.changed: dict[Key, Change] = {}

    def __len__(self) -> int:
        return len(self.removed) + len(self.inserted) + len(self.changed)


class Sweep:
    """The same columns to set wherever `column` has one of the values in `found`."""

    __slots__ = ("column", "columns", "found")

    def __init__(self, column: str, columns: frozenset[str]) -> None:
        self.column = column
        self.columns = columns
        self.found: dict[Value, dict[str, Value]] = {}

    def __len__(self) -> int:
        return len(self.found)


class Changes:
    """Collects the changes of a batch for one table; it satisfies `Rows`."""

    def __init__(self, table: Table) -> None:
        self.steps: list[Stretch | Sweep] = []
        self._table = table
        self._places = {column.name: i for i, column in enumerate(table.columns)}
        self._defaults = {
            column.name: int(column.default)
            for column in table.columns
            if column.default is not None and _is_integer(column.default)
        }
        self._settable = self._places.keys() - set(table.key)
        self._width = len(table.columns)
        self._key = _key_of([self._places[name] for name in table.key])
        self._begin()

    def __len__(self) -> int:
        return sum(map(len, self.steps))

    def __iter__(self) -> Iterator[Stretch | Sweep]:
        return (step for step in self.steps if len(step))

    def insert(self, *values: Value) -> None:
        """Insert a row whose key is new, its values in the order of the columns."""
        self._check_width(values)
        key = self._key(values)
        if key in self._inserted:
            raise DuplicateKeyError(self._already(key))
        if key in self._changed:
            if self._changed[key].created is not None:
                raise DuplicateKeyError(self._already(key))
            del self._changed[key]
        self._inserted[key] = values

    def insert_new(self, *values: Value) -> None:
        """Insert a row, its values in the order of the columns, unless it is there."""
        self._check_width(values)
        key = self._key(values)
        if key in self._inserted:
            return
        if key in self._removed:
            self._inserted[key] = values
            return
        named = zip(self._places, values, strict=True)
        self._change(key).make({n: each for n, each in named if n in self._settable})

    def patch(self, key: Key, **values: Value) -> None:
        """Set columns of the row with a key, if it is there."""
        row = self._inserted.get(key)
        if row is not None:
            self._rewrite(key, row, values)
        elif key not in self._removed:
            self._change(key).patch(values)

    def add(self, key: Key, **amounts: int) -> None:
        """Add to integer columns of the row with a key, which is made if missing."""
        row = self._inserted.get(key)
        if row is not None:
            places = self._places
            sums = {name: plus(row[places[name]], amounts[name]) for name in amounts}
            self._rewrite(key, row, sums)
            return
        if key in self._removed:
            self._begin()
        change = self._changed.get(key)
        if change is None:
            change = self._changed[key] = Change()
        change.add(amounts, self._defaults)

    def remove(self, key: Key) -> None:
        """Delete the row with a key, if it is there."""
        if key in self._inserted:
            if key in self._removed:
                del self._inserted[key]
                return
            self._begin()
        self._changed.pop(key, None)
        self._removed[key] = None

    def patch_where(self, column: str, value: Value, **values: Value) -> None:
        """Set columns of every row in which an indexed column has a value."""
        if value is not None:
            sweep = self._sweep(column, frozenset(values))
            sweep.found.setdefault(value, {}).update(values)

    def _sweep(self, column: str, columns: frozenset[str]) -> Sweep:
        """Return the sweep that is under way, if this may join it, or begin one."""
        if len(self.steps) > 1 and not len(self.steps[-1]):
            last = self.steps[-2]
            if (
                isinstance(last, Sweep)
                and (last.column, last.columns) == (column, columns)
                and column not in columns
            ):
                return last
        sweep = Sweep(column, columns)
        self.steps.append(sweep)
        self._begin()
        return sweep

    def _begin(self) -> None:
        stretch = Stretch()
        self.steps.append(stretch)
        self._removed = stretch.removed
        self._inserted = stretch.inserted
        self._changed = stretch.changed

    def _change(self, key: Key) -> Change:
        change = self._changed.get(key)
        if change is None:
            change = self._changed[key] = Change()
        return change

    def _rewrite(
        self,
        key: Key,
        row: tuple[Value, ...] | list[Value],
        values: Mapping[str, Value],
    ) -> None:
        if isinstance(row, tuple):
            row = self._inserted[key] = list(row)
        for name, value in values.items():
            if name not in self._settable:
                message = f"{self._table.name} cannot set {name!r}"
                raise WrongColumnsError(message)
            row[self._places[name]] = value

    def _check_width(self, values: tuple[Value, ...]) -> None:
        if len(values) != self._width:
            message = f"{self._table.name} has {self._width} columns, not {len(values)}"
            raise WrongColumnsError(message)

    def _already(self, key: Key) -> str:
        return f"{self._table.name} already has a row with the key {key!r}"


def plus(value: Any, amount: int) -> int:  # noqa: ANN401 - a column to add to holds integers
    """Return a value and an amount together; NULL counts as 0."""
    return amount if value is None else int(value) + amount


def _key_of(places: list[int]) -> Callable[[tuple[Value, ...]], Key]:
    if len(places) == 1:
        place = places[0]
        return lambda values: (values[place],)
    return itemgetter(*places)


def _is_integer(literal: str) -> bool:
    return literal.lstrip("-").isdigit()
