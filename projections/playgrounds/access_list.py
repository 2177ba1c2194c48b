"""The read table `access_list`: which testers a playground is restricted to."""

from collections.abc import Sequence
from typing import Final

from events.access.subjects import SubjectErased
from events.message import ERASED, Event, Recorded
from events.playgrounds.playgrounds import (
    AccessOpened,
    PlaygroundDeleted,
    TesterListed,
    TesterUnlisted,
)
from projections.playgrounds.columns import (
    BY_OWNER,
    BY_SEAL,
    ORGANISATION,
    OWN_ORGANISATION,
    OWNER,
    OWNERS,
    PLAYGROUND_ID,
    SCHEMA,
    SEALED_FOR,
    integer,
    moment,
    organisation,
    sealed_for,
    text,
    uuid,
)
from projections.projection import Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="access_list",
    version=1,
    note="Testers that a restricted playground lets in; erased ones read [erased]",
    columns=(
        PLAYGROUND_ID,
        integer("number", "Place on the list, from 1; numbers are not used again"),
        text("email", "E-mail address, case folded"),
        uuid("subject_id", "Whose key seals the address"),
        moment("listed_at", "When it was listed"),
        SEALED_FOR,
        OWNER,
        *ORGANISATION,
    ),
    key=("playground_id", "number"),
    rows=f"{OWN_ORGANISATION} AND ({OWNERS} OR email = access.current_email())",
    indexes=(
        Index(columns=("email",)),
        Index(columns=("playground_id",)),
        BY_OWNER,
        BY_SEAL,
    ),
)


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of access lists into their rows."""
    for recorded in batch:
        match recorded.event:
            case TesterListed() as event:
                rows.insert(
                    event.playground_id,
                    event.number,
                    event.email,
                    event.subject_id,
                    recorded.recorded_at,
                    sealed_for(recorded.org_id, event.subject_id),
                    event.owner,
                    *organisation(recorded),
                )
            case TesterUnlisted() as event:
                rows.remove((event.playground_id, event.number))
            case AccessOpened() | PlaygroundDeleted() as event:
                for number in event.numbers:
                    rows.remove((event.playground_id, number))
            case SubjectErased() as event:
                rows.patch_where(
                    "sealed_for",
                    sealed_for(recorded.org_id, event.subject_id),
                    email=ERASED,
                )


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        TesterListed,
        TesterUnlisted,
        AccessOpened,
        PlaygroundDeleted,
        SubjectErased,
    ),
    project=project,
)
