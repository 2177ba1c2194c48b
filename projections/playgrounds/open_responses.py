"""The read table `open_responses`: everything that testers wrote.

The text itself is kept in `evaluations` alone, so that an erasure takes it from both.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from events.ids import PlaygroundId
from events.message import Event, Recorded
from events.playgrounds.evaluations import TextAnswered
from projections.playgrounds.columns import (
    BY_CREATION,
    BY_OWNER,
    BY_PLAYGROUND,
    CREATED_AT,
    MODEL_KEY,
    OF_PLAYGROUND,
    ORGANISATION,
    OWN,
    OWNER,
    PLAYGROUND_ID,
    SCHEMA,
    answer_id,
    key,
    organisation,
    text,
    uuid,
)
from projections.projection import Column, Index, Projection, Rows, Table


TABLE: Final = Table(
    schema=SCHEMA,
    name="open_responses",
    version=1,
    note="What testers wrote, for analysis; erased text reads [erased]",
    columns=(
        key("Answer identifier"),
        PLAYGROUND_ID,
        uuid("question_id", "Question"),
        MODEL_KEY,
        text("tester_pseudonym", "The same for a tester in one playground only"),
        uuid("session_id", "Evaluation that it is part of"),
        OWNER,
        *ORGANISATION,
        CREATED_AT,
    ),
    key=("id",),
    rows=OWN,
    indexes=(
        BY_PLAYGROUND,
        Index(columns=("question_id",)),
        Index(columns=("session_id",)),
        BY_CREATION,
        BY_OWNER,
    ),
    references=(OF_PLAYGROUND,),
    view="""
        SELECT
            t.*,
            (
                SELECT p.name
                FROM playgrounds.playgrounds AS p
                WHERE p.id = t.playground_id
            ) AS playground_name,
            (
                SELECT q.question_text
                FROM playgrounds.questions AS q
                WHERE q.playground_id = t.playground_id
                AND q.id = t.question_id
            ) AS question_text,
            (
                SELECT e.answer_text
                FROM playgrounds.evaluations AS e
                WHERE e.id = t.id
            ) AS answer_text,
            (
                SELECT e.rating
                FROM playgrounds.evaluations AS e
                WHERE e.id = t.id
            ) AS rating,
            (
                SELECT e.counted
                FROM playgrounds.evaluations AS e
                WHERE e.id = t.id
            ) AS counted
        FROM {table} AS t
    """,
    view_columns=(
        Column(name="playground_name", type="text", note="Name of the playground"),
        Column(name="question_text", type="text", note="What is asked now"),
        Column(name="answer_text", type="text", note="What the tester wrote"),
        Column(name="rating", type="integer", note="From 1 to 5, if given with it"),
        Column(
            name="counted",
            type="boolean",
            note="Whether its evaluation counts: not withdrawn, not excluded",
        ),
    ),
)


def pseudonym(org_id: str, playground_id: PlaygroundId, tester: str) -> str:
    """Return what stands for a tester in one playground."""
    seed = f"{org_id}/{playground_id}/{tester}"
    return sha256(seed.encode()).hexdigest()[:12]


def project(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Turn each text into a row."""
    for recorded in batch:
        match recorded.event:
            case TextAnswered() as event:
                rows.insert(
                    answer_id(event.session_id, event.question_id),
                    event.playground_id,
                    event.question_id,
                    event.model_key,
                    pseudonym(recorded.org_id, event.playground_id, event.tester),
                    event.session_id,
                    event.owner,
                    *organisation(recorded),
                    recorded.recorded_at,
                )


PROJECTION: Final = Projection(table=TABLE, events=(TextAnswered,), project=project)
