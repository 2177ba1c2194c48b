"""The read table `playgrounds`: what is judged, by whom, and whether it is open."""

from collections.abc import Sequence
from typing import Final

from events.message import Event, Recorded
from events.people import person_id
from events.playgrounds.playgrounds import (
    AccessOpened,
    AccessRestricted,
    PlaygroundActivated,
    PlaygroundArchived,
    PlaygroundChanged,
    PlaygroundCreated,
    PlaygroundDeactivated,
    PlaygroundDeleted,
)
from projections.playgrounds.columns import (
    BY_CREATION,
    BY_OWNER,
    CREATED_AT,
    ORGANISATION,
    OWN_ORGANISATION,
    OWNER,
    OWNERS,
    SCHEMA,
    UPDATED_AT,
    choice,
    flag,
    integer,
    key,
    moment,
    organisation,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table, Value


OPEN_TO_ALL: Final = (
    "NOT is_restricted OR id = ANY (access.listing_playgrounds()::uuid[])"
)

TABLE: Final = Table(
    schema=SCHEMA,
    name="playgrounds",
    version=1,
    note="Testing projects: A/B tests of models, and tuning of one",
    columns=(
        key("Playground identifier"),
        text("name", "Name", most=255),
        choice("type", "ab_testing or tuning", "ab_testing", "tuning"),
        text("description", "Description"),
        text("support_text", "Sanitised HTML that testers are shown"),
        uuid("created_by", "Creator"),
        flag("is_active", "Whether evaluations may begin"),
        choice(
            "status",
            "active, inactive, or archived: closed for good",
            "active",
            "inactive",
            "archived",
        ),
        flag("is_restricted", "Whether only listed testers may evaluate"),
        integer(
            "repetitions",
            "How often a tester may evaluate a model; null for no limit",
            nullable=True,
        ),
        integer("hold_seconds", "How long a reserved place is held"),
        Column(
            name="seed",
            type="bigint",
            note="Decides ties between models; its owner and admins see it",
            visible=OWNERS,
        ),
        moment("archived_at", "When it was closed for good", nullable=True),
        text(
            "external_id",
            "Identifier in the system it was imported from",
            nullable=True,
        ),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
        UPDATED_AT,
    ),
    key=("id",),
    rows=(
        f"{OWN_ORGANISATION} AND ({OWNERS}"
        f" OR is_active AND ({OPEN_TO_ALL})"
        " OR id = ANY (access.evaluated_playgrounds()::uuid[]))"
    ),
    indexes=(
        Index(columns=("created_by",)),
        Index(columns=("is_active",)),
        BY_CREATION,
        BY_OWNER,
    ),
    view="""
        SELECT
            t.*,
            CASE
                WHEN t.is_restricted
                THEN ARRAY(
                    SELECT a.email
                    FROM playgrounds.access_list AS a
                    WHERE a.playground_id = t.id
                    ORDER BY a.number
                )
            END AS restricted_emails
        FROM {table} AS t
    """,
    view_columns=(
        Column(
            name="restricted_emails",
            type="text[]",
            note="Testers that it is restricted to, those whom the caller may see;"
            " null: every signed-in person may evaluate",
        ),
    ),
)


def _updated(recorded: Recorded[Event]) -> dict[str, Value]:
    return {"updated_at": recorded.recorded_at}


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn the facts of playgrounds into their rows."""
    for recorded in batch:
        match recorded.event:
            case PlaygroundCreated() as event:
                rows.insert(
                    event.playground_id,
                    event.name,
                    event.kind,
                    event.description,
                    event.support_text,
                    person_id(recorded.org_id, event.owner),
                    event.is_active,
                    "active" if event.is_active else "inactive",
                    False,
                    event.repetitions,
                    event.hold_seconds,
                    event.seed,
                    None,
                    event.external_id,
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                    recorded.recorded_at,
                )
            case PlaygroundChanged() as event:
                rows.patch(
                    (event.playground_id,),
                    name=event.name,
                    description=event.description,
                    support_text=event.support_text,
                    repetitions=event.repetitions,
                    hold_seconds=event.hold_seconds,
                    **_updated(recorded),
                )
            case AccessRestricted() | AccessOpened() as event:
                restricted = isinstance(event, AccessRestricted)
                rows.patch(
                    (event.playground_id,),
                    is_restricted=restricted,
                    **_updated(recorded),
                )
            case PlaygroundActivated() | PlaygroundDeactivated() as event:
                active = isinstance(event, PlaygroundActivated)
                rows.patch(
                    (event.playground_id,),
                    is_active=active,
                    status="active" if active else "inactive",
                    **_updated(recorded),
                )
            case PlaygroundArchived() as event:
                rows.patch(
                    (event.playground_id,),
                    is_active=False,
                    status="archived",
                    archived_at=recorded.recorded_at,
                    **_updated(recorded),
                )
            case PlaygroundDeleted() as event:
                rows.remove((event.playground_id,))


PROJECTION: Final = Projection(
    table=TABLE,
    events=(
        PlaygroundCreated,
        PlaygroundChanged,
        AccessRestricted,
        AccessOpened,
        PlaygroundActivated,
        PlaygroundDeactivated,
        PlaygroundArchived,
        PlaygroundDeleted,
    ),
    project=project,
)
