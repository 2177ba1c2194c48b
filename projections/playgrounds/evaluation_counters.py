"""The read table `evaluation_counters`: how many places of each model are taken."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from events.message import Event, Recorded
from events.playgrounds.allocations import (
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReserved,
    SlotReturned,
)
from events.playgrounds.playgrounds import (
    ModelAdded,
    ModelRemoved,
    PlaygroundDeleted,
)
from projections.playgrounds.columns import (
    BY_OWNER,
    CREATED_AT,
    MODEL_KEY,
    OF_PLAYGROUND,
    ORGANISATION,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    UPDATED_AT,
    WHO_SEES_THE_PLAYGROUND,
    count,
    counter_id,
    key,
    organisation,
)
from projections.projection import Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="evaluation_counters",
    version=1,
    note="Evaluations per model, as its playground's ledger counts them",
    columns=(
        key("Counter identifier"),
        PLAYGROUND_ID,
        MODEL_KEY,
        count("current_count", "Evaluations that count: places that were used"),
        count("reserved", "Places that are reserved now"),
        count("given", "Places that were ever given"),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("id",),
    rows=WHO_SEES_THE_PLAYGROUND,
    indexes=(
        Index(columns=("playground_id", "model_key"), unique=True),
        BY_OWNER,
    ),
    references=(OF_PLAYGROUND,),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Count what ledgers say."""
    for recorded in batch:
        match recorded.event:
            case ModelAdded() as event:
                rows.insert(
                    counter_id(event.playground_id, event.model_key),
                    event.playground_id,
                    event.model_key,
                    0,
                    0,
                    0,
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                    recorded.recorded_at,
                )
            case (
                SlotReserved()
                | SlotConsumed()
                | SlotReleased()
                | SlotReturned()
                | SlotImported()
            ) as event:
                counted(event, recorded, rows)
            case ModelRemoved() as event:
                rows.remove((counter_id(event.playground_id, event.model_key),))
            case PlaygroundDeleted() as event:
                for model_key in event.model_keys:
                    rows.remove((counter_id(event.playground_id, model_key),))


def counted(
    event: SlotReserved | SlotConsumed | SlotReleased | SlotReturned | SlotImported,
    recorded: Recorded[Event],
    rows: Rows,
) -> None:
    """Add what an event counts to its model's counter."""
    row: tuple[UUID] = (counter_id(event.playground_id, event.model_key),)
    match event:
        case SlotReserved():
            rows.add(row, reserved=1, given=1)
        case SlotConsumed():
            rows.add(row, reserved=-1, current_count=1)
        case SlotReleased():
            rows.add(row, reserved=-1)
        case SlotImported():
            rows.add(row, current_count=1, given=1)
        case SlotReturned():
            rows.add(row, current_count=-1)
    rows.patch(row, updated_at=recorded.recorded_at)


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        ModelAdded,
        ModelRemoved,
        SlotReserved,
        SlotConsumed,
        SlotReleased,
        SlotReturned,
        SlotImported,
        PlaygroundDeleted,
    ),
    project=project,
)
