"""What tables of simulations that run elsewhere share: rows as they were handed in.

Their agents, actions and causes have names of their own, and their amounts are no whole
numbers, so they stand in tables beside those of populations that are made here. The
views under the names that people know show both; a row from elsewhere has its place
in the recording where others have the number of an agent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Final

from events.experiments.outside import OutsideRowsRecorded, unpacked
from events.message import Event, Recorded
from projections.experiments.columns import (
    ORGANISATION,
    OWN_ORGANISATION,
    SCHEMA,
    integer,
    text,
)
from projections.projection import Column, Index, Rows, Table, Value


Project = Callable[[Sequence[Recorded[Event]], Rows], None]

KEY: Final = text("simulation_key", "Simulation, by the identifier of its stream")
PLACE: Final = integer("place", "Which row of its table, from 1, as recorded first")


def outside_table(
    of: str, columns: Sequence[Column], *, key: tuple[str, ...] = ("place",)
) -> Table:
    """Return the table beside that of populations; its key begins with a simulation."""
    by_step = any(column.name == "step_number" for column in columns)
    return Table(
        schema=SCHEMA,
        name=f"outside_{of}",
        version=1,
        note=f"Rows of `{of}` of simulations that run elsewhere, as they were recorded",
        columns=(KEY, PLACE, *columns, ORGANISATION),
        key=("simulation_key", *key),
        rows=OWN_ORGANISATION,
        indexes=(
            Index(columns=("simulation_key", "step_number"))
            if by_step
            else Index(columns=("simulation_key", "place")),
        ),
    )


def beside(
    made: Table, outside: Table, given: Mapping[str, str] | None = None
) -> Table:
    """Return the table of populations, its view showing rows from elsewhere too.

    There a column is what `given` says, or the one of its name, or else NULL.
    """
    own = {column.name for column in outside.columns}
    values = {
        **{name: f"o.{name}" for name in own},
        "simulation_id": "s.simulation_id",
        "agent": "o.place",
        **(given or {}),
    }
    listed = ",\n            ".join(
        f"{values.get(column.name, f'NULL::{column.type}')} AS {column.name}"
        for column in (*made.columns, *made.view_columns)
    )
    view = f"""{made.view}
        UNION ALL
        SELECT
            {listed}
        FROM experiments.{outside.name} AS o
        JOIN experiments.simulations AS s
            ON s._id = o.simulation_key
    """
    return replace(made, view=view)


def recording(source: str, table: Table) -> Project:
    """Return what turns the rows of `source` into those of a table.

    A row whose key was there takes that one's place.
    """
    names = [column.name for column in table.columns]
    places = [names.index(name) for name in table.key]
    replaces = "place" not in table.key

    def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
        for recorded in batch:
            event = recorded.event
            if not isinstance(event, OutsideRowsRecorded) or source not in event.rows:
                continue
            for row in rows_of(names, source, recorded.org_id, event):
                if replaces:
                    rows.remove(tuple(row[place] for place in places))
                rows.insert(*row)

    return project


def rows_of(
    names: Sequence[str], source: str, org_id: str, event: OutsideRowsRecorded
) -> Iterator[tuple[Value, ...]]:
    """Return the rows of a batch, as columns of these names."""
    count = event.rows[source]
    first = event.before.get(source, 0) + 1
    values: dict[str, Iterable[Value]] = {
        "simulation_key": repeat(str(event.simulation_id), count),
        "place": range(first, first + count),
        "org_id": repeat(org_id, count),
        **unpacked(event.body)[source],
    }
    return zip(
        *(values.get(name) or repeat(None, count) for name in names), strict=True
    )
