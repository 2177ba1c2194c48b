"""What the read tables of the experiments context share.

Tables that populations fill hold whole numbers, as the engine does; their views show
the amounts, names and ids that people know. A run is known by the position in the log
at which it was asked for, its agents by numbers, from which ids are made.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from events.experiments.vocabulary import ATTACK, CHOICES, DEFEND, SCALE, SELECT
from events.message import Event, Recorded
from projections.projection import Column, Index, Value


SCHEMA: Final = "experiments"
OWN_ORGANISATION: Final = "org_id = access.current_org()"
STEP_IDS: Final = 2_147_483_648  # ids of a step's rows are this many apart

_encoder: Final = msgspec.json.Encoder()


def text(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a text column."""
    return Column(name=name, type="text", note=note, nullable=nullable)


def integer(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return an integer column."""
    return Column(name=name, type="integer", note=note, nullable=nullable)


def bigint(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of large integers."""
    return Column(name=name, type="bigint", note=note, nullable=nullable)


def small(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of small integers."""
    return Column(name=name, type="smallint", note=note, nullable=nullable)


def double(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of numbers."""
    return Column(name=name, type="double precision", note=note, nullable=nullable)


def flag(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a boolean column."""
    return Column(name=name, type="boolean", note=note, nullable=nullable)


def moment(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of moments."""
    return Column(name=name, type="timestamptz", note=note, nullable=nullable)


def jsonb_column(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a jsonb column."""
    return Column(name=name, type="jsonb", note=note, nullable=nullable)


SIMULATION: Final = bigint("simulation_id", "Simulation identifier")
ORGANISATION: Final = text("org_id", "Organization identifier")
CREATED: Final = (
    ORGANISATION,
    text("region_name", "Deployment region"),
    moment("created_at", "Creation timestamp"),
    moment("updated_at", "Last update timestamp"),
)
BY_CREATION: Final = Index(columns=("org_id", "created_at"))


def key(identifier: UUID) -> tuple[str]:
    """Return an identifier as the text that key columns hold."""
    return (str(identifier),)


def jsonb(value: Value) -> str:
    """Return the JSON text of a value for a jsonb column."""
    return _encoder.encode(value).decode()


def created(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `CREATED` that a first fact gives."""
    moment_ = recorded.recorded_at
    return (recorded.org_id, recorded.region, moment_, moment_)


def amount(column: str, name: str) -> str:
    """Return the SQL that shows a whole number as the amount that it stands for."""
    return f"(t.{column} / {SCALE}.0)::double precision AS {name}"


def agent_id(column: str, name: str = "agent_id", table: str = "t") -> str:
    """Return the SQL that shows an agent's number as its id; none: NULL."""
    whole = f"{table}.{column}"
    return f"CASE WHEN {whole} >= 0 THEN 'agent_' || {whole} END AS {name}"


def word(column: str, words: Sequence[str], name: str) -> str:
    """Return the SQL that shows a place in a tuple of words as the word."""
    return f"(ARRAY[{_listed(words)}])[t.{column} + 1] AS {name}"


def chosen(module: str, choice: str = "choice") -> str:
    """Return the SQL that names a choice of a module or action.

    Who defends chose so within the module of attacks.
    """
    cases = "\n".join(
        f"                WHEN {place} THEN (ARRAY[{_listed(words)}])[t.{choice} + 1]"
        for place, words in enumerate(CHOICES)
    )
    if module == "action":
        cases = cases.replace(f"WHEN {SELECT} THEN", "WHEN -1 THEN")
        cases += f"\n                WHEN {DEFEND} THEN '{CHOICES[ATTACK][-1]}'"
    return f"CASE t.{module}\n{cases}\n            END"


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{each}'" for each in words)
