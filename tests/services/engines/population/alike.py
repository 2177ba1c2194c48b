"""What the engine records, held against the same rules done plainly."""

from events.experiments.vocabulary import (
    ACTIONS,
    CAUSES,
    MODULES,
    OUTCOMES,
)
from services.engines.population.columns import (
    Step,
    Tables,
    dtype_of,
)
from tests.services.engines.population.reference import Reference


NAMES: dict[str, dict[int, tuple[str, ...]]] = {
    "actions": {2: ACTIONS, 4: OUTCOMES},
    "lessons": {2: (*MODULES, *(f"shared {module}" for module in MODULES))},
    "incidents": {4: CAUSES},
    "deaths": {2: CAUSES},
    "refusals": {2: OUTCOMES},
}
ENTROPY = (dtype_of(Step).names or ()).index("entropy")


def _told(name: str, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows with names for numbers, and the entropy as exact as both can be."""
    words = NAMES.get(name, {})
    return [
        tuple(
            words[place][int(str(value))]
            if place in words
            else round(float(str(value)), 6)
            if name == "steps" and place == ENTROPY
            else value
            for place, value in enumerate(row)
        )
        for row in rows
    ]


def run_plainly(plain: Reference, steps: int) -> Reference:
    """Return a run once it is at a step, or nobody lives."""
    while plain.step < steps and plain.agents:
        plain.advance()
    return plain


def assert_alike(recorded: Tables, plain: Reference) -> None:
    """Check that every row of every table is the same."""
    for name, table in recorded._asdict().items():
        expected = plain.rows[name]
        if name == "steps":
            expected = [
                (*row[:ENTROPY], round(row[ENTROPY], 6) + 0.0, *row[ENTROPY + 1 :])
                for row in expected
            ]
        assert _told(name, table.tolist()) == expected, name
