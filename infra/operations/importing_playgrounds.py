"""The import of playgrounds from a database of another installation.

Its tables are read in batches inside one snapshot. Everything is asked for by commands
whose ids follow from the rows, so an import that broke off is finished by importing
again, and a second import changes nothing. What does not fit is left out and reported.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg
import msgspec
from msgspec.structs import replace

from events.catalogue import tag
from events.errors import Failure, Unavailable
from events.message import Command, Meta
from infra.postgres.failures import AWAY
from services.handling import BULK_COMMANDS, Handler
from services.outcome import Outcome
from services.playgrounds.common import PERSON
from services.playgrounds.evaluations import ImportEvaluation
from services.playgrounds.playgrounds import CreatePlayground


SPACE: Final = UUID("7b0e6b52-40c4-5d21-8f3a-9f1c7a9d6e11")
BATCH: Final = 500
MOST_PROBLEMS: Final = 1_000

PLAYGROUNDS: Final = """
SELECT
    p.*,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(m) ORDER BY m.model_key), '[]'::jsonb)
        FROM model_configurations AS m
        WHERE m.playground_id = p.id
    )::text AS models,
    (
        SELECT coalesce(
            jsonb_agg(to_jsonb(q) ORDER BY q.order_index, q.id),
            '[]'::jsonb
        )
        FROM questions AS q
        WHERE q.playground_id = p.id
    )::text AS questions,
    (
        SELECT coalesce(jsonb_object_agg(c.model_key, c.current_count), '{}'::jsonb)
        FROM evaluation_counters AS c
        WHERE c.playground_id = p.id
    )::text AS counters,
    (
        SELECT coalesce(jsonb_object_agg(s.model_key, s.sessions), '{}'::jsonb)
        FROM (
            SELECT e.model_key, count(DISTINCT e.session_id) AS sessions
            FROM evaluations AS e
            WHERE e.playground_id = p.id
            AND e.session_id IS NOT NULL
            AND e.model_key IS NOT NULL
            GROUP BY e.model_key
        ) AS s
    )::text AS sessions
FROM playgrounds AS p
ORDER BY p.created_at, p.id
"""

SESSIONS: Final = """
SELECT
    e.session_id,
    e.playground_id,
    e.user_id,
    e.model_key,
    p.created_by,
    min(e.created_at) AS created_at,
    row_number() OVER (
        PARTITION BY e.playground_id, e.user_id
        ORDER BY min(e.created_at), e.session_id
    ) AS ordinal,
    jsonb_agg(
        jsonb_build_object(
            'question_id', e.question_id,
            'answer_text', e.answer_text,
            'answer_value', e.answer_value,
            'rating', e.rating
        )
        ORDER BY e.created_at, e.id
    )::text AS answers
FROM evaluations AS e
JOIN playgrounds AS p ON p.id = e.playground_id
WHERE e.session_id IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY 6, 1
"""

LOST: Final = """
SELECT count(*)
FROM evaluations
WHERE session_id IS NULL
"""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was not imported as it is, and why."""

    table: str
    id: str
    problem: str
    imported: bool


@dataclass(kw_only=True)
class Report:
    """What was read, what came of it, and what does not fit."""

    playgrounds: int = 0
    evaluations: int = 0
    new_events: int = 0
    refused: int = 0
    position: int = 0
    problems: list[Problem] = field(default_factory=list)

    def note(self, table: str, key: object, problem: str, *, imported: bool) -> None:
        """Note what does not fit; what is left out counts as refused."""
        self.refused += not imported
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(
                Problem(table=table, id=str(key), problem=problem, imported=imported)
            )


async def import_playgrounds(
    source: str, *, handler: Handler, meta: Meta, schema: str = "public"
) -> Report:
    """Import the playgrounds and evaluations of a database, and return a report.

    `meta` says who imports, with the scope `import`; each playground stays its
    creator's. Raises `Unavailable` where the database cannot be read.
    """
    report = Report()
    try:
        connection = await asyncpg.connect(
            source, server_settings={"search_path": schema}
        )
        try:
            async with connection.transaction(
                isolation="repeatable_read", readonly=True
            ):
                async for rows in pages(connection, PLAYGROUNDS):
                    await _hand_in(playgrounds_of(rows, report), handler, meta, report)
                lost = await connection.fetchval(LOST)
                if lost:
                    problem = f"{lost} answers are of no session."
                    report.note("evaluations", "-", problem, imported=False)
                async for rows in pages(connection, SESSIONS):
                    asked = evaluations_of(rows, report)
                    await _hand_in(asked, handler, meta, report)
        finally:
            await connection.close()
    except (*AWAY, asyncpg.PostgresError) as error:
        message = f"The other database cannot be read: {error}"
        raise Unavailable(message) from error
    return report


async def pages(
    connection: "asyncpg.Connection[asyncpg.Record]", query: str
) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
    """Yield the rows of a query, some at a time."""
    page: list[Mapping[str, Any]] = []
    async for row in connection.cursor(query, prefetch=BATCH):
        page.append(dict(row))
        if len(page) == BATCH:
            yield page
            page = []
    if page:
        yield page


Asked = tuple[str, UUID, UUID, datetime, Command]


def playgrounds_of(
    rows: Sequence[Mapping[str, Any]], report: Report
) -> Iterator[Asked]:
    """Yield what creates the playgrounds of rows."""
    for row in rows:
        report.playgrounds += 1
        try:
            command = msgspec.convert(
                playground_of(row, report), CreatePlayground, strict=False
            )
        except msgspec.ValidationError as error:
            report.note("playgrounds", row["id"], f"{error}.", imported=False)
            continue
        yield "playgrounds", row["id"], row["created_by"], row["created_at"], command


def playground_of(row: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Return a playground's row as the command that creates it."""
    key = row["id"]
    sessions = msgspec.json.decode(row["sessions"])
    counters = msgspec.json.decode(row["counters"])
    questions = msgspec.json.decode(row["questions"])
    for model_key, counted in counters.items():
        if counted != sessions.get(model_key, 0):
            problem = (
                f"The counter of {model_key} says {counted};"
                f" there are {sessions.get(model_key, 0)} sessions."
            )
            report.note("evaluation_counters", key, problem, imported=True)
    is_active = bool(row["is_active"])
    if is_active and not questions:
        problem = "It asks nothing, so it is imported inactive."
        report.note("playgrounds", key, problem, imported=True)
    return {
        "type": tag(CreatePlayground),
        "playground_id": key,
        "name": row["name"],
        "kind": row["type"],
        "description": row["description"] or "",
        "support_text": row["support_text"] or "",
        "models": [
            model_of(model, sessions.get(model["model_key"], 0), report)
            for model in msgspec.json.decode(row["models"])
        ],
        "questions": [question_of(question) for question in questions],
        "restricted_emails": row["restricted_emails"] or None,
        "is_active": is_active and bool(questions),
        "repetitions": None,
        "external_id": str(key),
    }


def model_of(model: Mapping[str, Any], sessions: int, report: Report) -> dict[str, Any]:
    """Return a model's row; one that was evaluated too often gets more places."""
    most = model["max_evaluations"] or max(sessions, 100)
    if sessions > most:
        problem = f"It has {sessions} evaluations of {most}; it is given {sessions}."
        report.note("model_configurations", model["id"], problem, imported=True)
    return {
        "model_key": model["model_key"],
        "model_name": model["model_name"] or model["model_key"],
        "embed_code": model["embed_code"] or "",
        "max_evaluations": max(sessions, most),
    }


def question_of(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return a question's row."""
    return {
        "question_id": question["id"],
        "question_text": question["question_text"],
        "question_type": question["question_type"],
        "options": question["options"] or [],
        "model_key": question["model_key"],
        "required": question["required"] is not False,
    }


def evaluations_of(
    rows: Sequence[Mapping[str, Any]], report: Report
) -> Iterator[Asked]:
    """Yield what imports the evaluations of rows, each a session."""
    for row in rows:
        report.evaluations += 1
        key = row["session_id"]
        built = {
            "type": tag(ImportEvaluation),
            "session_id": key,
            "playground_id": row["playground_id"],
            "user_id": row["user_id"],
            "model_key": row["model_key"],
            "ordinal": row["ordinal"],
            "answers": msgspec.json.decode(row["answers"]),
        }
        try:
            command = msgspec.convert(built, ImportEvaluation, strict=False)
        except msgspec.ValidationError as error:
            report.note("evaluations", key, f"{error}.", imported=False)
            continue
        yield "evaluations", key, row["created_by"], row["created_at"], command


async def _hand_in(
    asked: Iterator[Asked], handler: Handler, meta: Meta, report: Report
) -> None:
    """Ask for commands, each as the creator of its playground."""
    batch = list(asked)
    requests = [
        (
            command,
            replace(
                meta,
                command_id=uuid5(SPACE, f"{meta.org_id}/{table}/{key}"),
                actor=f"{PERSON}{owner}" if owner else meta.actor,
                occurred_at=moment(at) or meta.occurred_at,
            ),
        )
        for table, key, owner, at, command in batch
    ]
    for start in range(0, len(requests), BULK_COMMANDS):
        answers = await handler.handle_bulk(requests[start : start + BULK_COMMANDS])
        for (table, key, *_), answer in zip(batch[start:], answers, strict=False):
            if isinstance(answer, Outcome):
                report.position = max(report.position, answer.position)
                report.new_events += answer.events if answer.status == "ok" else 0
            elif isinstance(answer, Unavailable):
                raise answer
            else:
                report.note(table, key, sentence(answer), imported=False)


def moment(at: datetime | None) -> datetime | None:
    """Return a moment; one without a zone is taken as UTC."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def sentence(failure: Failure) -> str:
    """Return why something was refused."""
    return f"{failure}" + (f" (at {failure.path})" if failure.path else "")
