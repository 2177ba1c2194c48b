from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.projection import Column, Index, Table, Value
from projections.rows import (
    Changes,
    DuplicateKeyError,
    Stretch,
    Sweep,
    WrongColumnsError,
)


TABLE = Table(
    schema="testing",
    name="things",
    version=1,
    note="Things",
    columns=(
        Column(name="id", type="text", nullable=False),
        Column(name="kind", type="text"),
        Column(name="n", type="bigint", default="10"),
    ),
    key=("id",),
    rows="true",
    indexes=(Index(columns=("kind",)),),
)
Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


def written(changes: Changes, rows: Rows) -> Rows:
    """Apply merged changes as the database does."""
    rows = {key: dict(row) for key, row in rows.items()}
    for step in changes:
        if isinstance(step, Sweep):
            for row in rows.values():
                row.update(step.found.get(row[step.column], {}))
        else:
            _write(step, rows)
    return rows


def _write(stretch: Stretch, rows: Rows) -> None:
    for key in stretch.removed:
        rows.pop(key, None)
    for key, values in stretch.inserted.items():
        if key in rows:
            raise DuplicateKeyError(key)
        rows[key] = dict(zip(("id", "kind", "n"), values, strict=True))
    for key, change in stretch.changed.items():
        row = rows.get(key)
        if row is not None:
            row.update(change.sets)
            for name, amount in change.amounts.items():
                row[name] = (row[name] or 0) + amount
        elif change.created is not None:
            rows[key] = {"id": key[0], "kind": None, "n": 10, **change.created}


class OneByOne:
    """Applies each change at once."""

    def __init__(self, rows: Rows) -> None:
        self.rows: Rows = {key: dict(row) for key, row in rows.items()}

    def insert(self, *values: Value) -> None:
        if values[:1] in self.rows:
            raise DuplicateKeyError(values)
        self.rows[values[:1]] = dict(zip(("id", "kind", "n"), values, strict=True))

    def insert_new(self, *values: Value) -> None:
        row = dict(zip(("id", "kind", "n"), values, strict=True))
        self.rows.setdefault(values[:1], row)

    def patch(self, key: tuple[Any, ...], **values: Value) -> None:
        if key in self.rows:
            self.rows[key].update(values)

    def add(self, key: tuple[Any, ...], **amounts: int) -> None:
        row = self.rows.setdefault(key, {"id": key[0], "kind": None, "n": 10})
        for name, amount in amounts.items():
            row[name] = (row[name] or 0) + amount

    def remove(self, key: tuple[Any, ...]) -> None:
        self.rows.pop(key, None)

    def patch_where(self, column: str, value: Value, **values: Value) -> None:
        for row in self.rows.values():
            if value is not None and row[column] == value:
                row.update(values)


KEYS = st.sampled_from(["a", "b"])
KINDS = st.sampled_from(["x", "y", None])
NUMBERS = st.none() | st.integers(-3, 3)
CHANGE: st.SearchStrategy[Callable[[Any], None]] = st.one_of(
    st.builds(
        lambda key, kind, n: lambda rows: rows.insert(key, kind, n),
        KEYS,
        KINDS,
        NUMBERS,
    ),
    st.builds(
        lambda key, kind, n: lambda rows: rows.insert_new(key, kind, n),
        KEYS,
        KINDS,
        NUMBERS,
    ),
    st.builds(
        lambda key, kind: lambda rows: rows.patch((key,), kind=kind), KEYS, KINDS
    ),
    st.builds(lambda key, n: lambda rows: rows.patch((key,), n=n), KEYS, NUMBERS),
    st.builds(
        lambda key, n: lambda rows: rows.add((key,), n=n), KEYS, st.integers(-3, 3)
    ),
    st.builds(lambda key: lambda rows: rows.remove((key,)), KEYS),
    st.builds(
        lambda kind, n: lambda rows: rows.patch_where("kind", kind, n=n), KINDS, NUMBERS
    ),
    st.builds(
        lambda kind, to: lambda rows: rows.patch_where("kind", kind, kind=to),
        KINDS,
        KINDS,
    ),
)
BEFORE = st.dictionaries(
    st.tuples(KEYS), st.fixed_dictionaries({"kind": KINDS, "n": NUMBERS})
).map(lambda rows: {key: {"id": key[0], **row} for key, row in rows.items()})


def outcome(apply: Callable[[], Rows]) -> Rows | str:
    try:
        return apply()
    except DuplicateKeyError:
        return "duplicate"


@given(BEFORE, st.lists(CHANGE, max_size=12))
def test_merged_changes_do_what_they_do_one_by_one(
    before: Rows, changes: list[Callable[[Any], None]]
) -> None:
    def merged() -> Rows:
        collected = Changes(TABLE)
        for change in changes:
            change(collected)
        return written(collected, before)

    def one_by_one() -> Rows:
        rows = OneByOne(before)
        for change in changes:
            change(rows)
        return rows.rows

    assert outcome(merged) == outcome(one_by_one)


def test_what_happens_to_a_new_row_in_a_page_is_one_insert() -> None:
    rows = Changes(TABLE)
    rows.insert("a", "x", 1)
    rows.patch(("a",), kind="y")
    rows.add(("a",), n=4)
    (stretch,) = rows
    assert isinstance(stretch, Stretch)
    assert stretch.inserted == {("a",): ["a", "y", 5]}
    assert not stretch.changed
    assert len(rows) == 1


def test_a_row_that_is_removed_and_made_again_is_one_step() -> None:
    rows = Changes(TABLE)
    rows.remove(("a",))
    rows.insert("a", "x", 1)
    assert len(list(rows)) == 1


def test_inserting_a_key_twice_in_a_page_is_an_error() -> None:
    rows = Changes(TABLE)
    rows.insert("a", "x", 1)
    with pytest.raises(DuplicateKeyError, match="things already has a row"):
        rows.insert("a", "x", 1)


def test_inserting_a_key_that_was_added_to_is_an_error() -> None:
    rows = Changes(TABLE)
    rows.add(("a",), n=1)
    with pytest.raises(DuplicateKeyError):
        rows.insert("a", "x", 1)


def test_a_row_of_another_width_is_an_error() -> None:
    with pytest.raises(WrongColumnsError, match="has 3 columns, not 2"):
        Changes(TABLE).insert("a", "x")


@pytest.mark.parametrize("column", ["id", "colour"])
def test_a_column_that_cannot_be_set_is_an_error(column: str) -> None:
    rows = Changes(TABLE)
    rows.insert("a", "x", 1)
    with pytest.raises(WrongColumnsError, match=column):
        rows.patch(("a",), **{column: "b"})


def test_sweeps_over_the_same_columns_are_one_step() -> None:
    rows = Changes(TABLE)
    rows.patch_where("kind", "x", n=1)
    rows.patch_where("kind", "y", n=2)
    (sweep,) = rows
    assert isinstance(sweep, Sweep)
    assert sweep.found == {"x": {"n": 1}, "y": {"n": 2}}
