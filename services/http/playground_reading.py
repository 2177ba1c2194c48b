"""A playground's evaluations, read at one moment as those see them who own it."""

from collections.abc import AsyncIterator
from itertools import groupby
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.errors import Missing
from services.http.reading import Row
from services.http.snapshots import Snapshot
from services.playgrounds.statistics.records import (
    Answer,
    Evaluations,
    Model,
    Question,
    Session,
)


PAGE: Final = 500

FRAME: Final = """
SELECT
    p.id::text AS id,
    coalesce(
        (
            SELECT c.position
            FROM es.checkpoints AS c
            WHERE c.projection = 'playgrounds'
            AND c.version = 0
        ),
        0
    ) AS position,
    (
        SELECT json_agg(
            json_build_object('key', m.model_key, 'limit', m.max_evaluations)
            ORDER BY m.model_key
        )
        FROM playgrounds.model_configurations AS m
        WHERE m.playground_id = p.id
    ) AS models,
    (
        SELECT json_agg(
            json_build_object(
                'id', q.id,
                'text', q.question_text,
                'kind', q.question_type,
                'version', q.revision,
                'model_key', q.model_key,
                'order', q.order_index,
                'required', q.required,
                'removed', q.removed_at IS NOT NULL,
                'options', (
                    SELECT coalesce(json_agg(o.choice ->> 'value'), '[]')
                    FROM jsonb_array_elements(q.options) AS o (choice)
                )
            )
            ORDER BY q.removed_at IS NOT NULL, q.order_index, q.id
        )
        FROM playgrounds.questions AS q
        WHERE q.playground_id = p.id
        AND (
            q.removed_at IS NULL
            OR EXISTS (
                SELECT
                FROM playgrounds.evaluations AS e
                WHERE e.question_id = q.id
                AND e.playground_id = p.id
            )
        )
    ) AS questions
FROM playgrounds.playgrounds AS p
WHERE p.id = $1
AND (
    p.owner = access.current_actor_id()
    OR access.has_role('playgrounds', 'admin')
)
"""

SESSIONS: Final = """
SELECT
    s.id::text AS id,
    s.user_id::text AS tester,
    s.model_key,
    s.status,
    s.ordinal,
    s.revision,
    s.shown_at IS NOT NULL OR s.submitted_at IS NOT NULL AS shown,
    extract(epoch FROM s.submitted_at - s.shown_at)::float8 AS seconds,
    s.exclusion_reason AS reason,
    s.previous_session_id::text AS previous,
    s.submitted_at,
    (
        SELECT coalesce(
            json_agg(
                json_build_object(
                    'question_id', e.question_id,
                    'text', e.answer_text,
                    'value', e.answer_value,
                    'rating', e.rating
                )
                ORDER BY q.order_index, e.question_id
            ),
            '[]'
        )::text
        FROM playgrounds.evaluations AS e
        LEFT JOIN playgrounds.questions AS q
            ON q.playground_id = e.playground_id
            AND q.id = e.question_id
        WHERE e.session_id = s.id
    ) AS answers
FROM playgrounds.evaluation_sessions AS s
WHERE s.playground_id = $1
"""

IN_ORDER: Final = f"{SESSIONS}ORDER BY s.number"
BY_TESTER: Final = f"{SESSIONS}ORDER BY s.user_id, s.number"

_models: Final = msgspec.json.Decoder(tuple[Model, ...])
_questions: Final = msgspec.json.Decoder(tuple[Question, ...])
_answers: Final = msgspec.json.Decoder(tuple[Answer, ...])


async def frame(snapshot: Snapshot, playground_id: UUID) -> Evaluations:
    """Return a playground without its sessions.

    Raises `Missing` also for a playground of somebody else.
    """
    rows = await snapshot.read(FRAME, [playground_id])
    if not rows:
        raise Missing("There is no such playground, or it is somebody else's.")
    (row,) = rows
    return Evaluations(
        playground_id=row["id"],
        position=row["position"],
        models=_models.decode(row["models"] or "[]"),
        questions=_questions.decode(row["questions"] or "[]"),
        sessions=(),
    )


async def evaluations(snapshot: Snapshot, playground_id: UUID) -> Evaluations:
    """Return a playground with all its sessions, in order of reservation."""
    found = await frame(snapshot, playground_id)
    sessions: list[Session] = []
    async for page in snapshot.pages(IN_ORDER, [playground_id], PAGE):
        sessions += map(_session, page)
    return replace(found, sessions=tuple(sessions))


async def by_tester(
    snapshot: Snapshot, playground: Evaluations
) -> AsyncIterator[Evaluations]:
    """Yield a playground again and again, each time with some testers' sessions."""
    waiting: list[Session] = []
    args = [UUID(playground.playground_id)]
    async for page in snapshot.pages(BY_TESTER, args, PAGE):
        waiting += map(_session, page)
        testers = [
            list(own) for _, own in groupby(waiting, key=lambda each: each.tester)
        ]
        whole = [session for own in testers[:-1] for session in own]
        waiting = testers[-1]
        if whole:
            yield replace(playground, sessions=tuple(whole))
    if waiting:
        yield replace(playground, sessions=tuple(waiting))


def _session(row: Row) -> Session:
    at = row["submitted_at"]
    return Session(
        id=row["id"],
        tester=row["tester"],
        model_key=row["model_key"],
        status=row["status"],
        ordinal=row["ordinal"],
        revision=row["revision"],
        shown=row["shown"],
        seconds=row["seconds"],
        reason=row["reason"],
        previous=row["previous"],
        at=None if at is None else at.isoformat(),
        answers=_answers.decode(row["answers"]),
    )
