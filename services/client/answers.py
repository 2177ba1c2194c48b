"""What the server answers, as outcomes, events, and the failures that it meant."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from events import catalogue
from events.errors import (
    Conflict,
    Failure,
    Forbidden,
    Malformed,
    Mismatch,
    Missing,
    Refused,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from events.message import Event, Recorded
from services.experiments.analysis.results import Analysis, Contrasts, Report
from services.experiments.watching import StepMetrics, Steps
from services.outcome import Outcome
from services.testing.progress import RunProgress


PROBLEMS: Final[Mapping[int, type[Failure]]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: Missing,
    405: Malformed,
    406: Malformed,
    413: TooLarge,
    415: Malformed,
    422: Refused,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem document, as far as a client acts on it."""

    status: int
    detail: str = ""
    code: str = ""
    path: str | None = None
    actual_version: int | None = None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the feed tells it, its payload to be decoded by its own type."""

    position: int
    stream_id: str
    version: int
    event_id: UUID
    org_id: str
    region: str
    command_id: UUID
    correlation_id: UUID
    causation_id: UUID | None
    actor: str
    ip: str | None
    occurred_at: datetime
    recorded_at: datetime
    headers: dict[str, str] | None
    event: msgspec.Raw


class _Tagged(msgspec.Struct, frozen=True, kw_only=True):
    type: str


_outcome: Final = msgspec.json.Decoder(Outcome)
_progress: Final = msgspec.json.Decoder(RunProgress)
_analysis: Final = msgspec.json.Decoder(Analysis)
_contrasts: Final = msgspec.json.Decoder(Contrasts)
_report: Final = msgspec.json.Decoder(Report)
_steps: Final = msgspec.json.Decoder(Steps)
_problem: Final = msgspec.json.Decoder(Problem)
_told: Final = msgspec.json.Decoder(_Told)
_tagged: Final = msgspec.json.Decoder(_Tagged)
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])


def outcome(body: bytes | msgspec.Raw) -> Outcome:
    """Return the outcome that a body holds."""
    return _outcome.decode(body)


def verdicts(body: bytes) -> list[Outcome | Failure]:
    """Return the verdicts on a batch, in its order."""
    found: list[Outcome | Failure] = []
    for raw in _raws.decode(body):
        try:
            found.append(_outcome.decode(raw))
        except msgspec.ValidationError:
            found.append(_meant(_problem.decode(raw), retry_after=1.0))
    return found


def analysis(body: bytes) -> Analysis:
    """Return the analysis that a body holds."""
    return _analysis.decode(body)


def contrasts(body: bytes) -> Contrasts:
    """Return the comparison that a body holds."""
    return _contrasts.decode(body)


def report(body: bytes) -> Report:
    """Return the report that a body holds."""
    return _report.decode(body)


def failure(status: int, body: bytes, *, retry_after: float = 1.0) -> Failure:
    """Return the failure that an answer means, also one without a document."""
    try:
        problem = _problem.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = Problem(status=status, detail=f"The server answered {status}.")
    return _meant(problem, retry_after=retry_after)


def problem(data: bytes) -> Failure:
    """Return the failure that a problem document tells."""
    return _meant(_problem.decode(data), retry_after=1.0)


def recorded(data: bytes) -> Recorded[Event]:
    """Return the event that the feed tells, decoded by its type."""
    told = _told.decode(data)
    kind = _tagged.decode(told.event).type
    return Recorded(
        position=told.position,
        stream_id=told.stream_id,
        version=told.version,
        event_id=told.event_id,
        org_id=told.org_id,
        region=told.region,
        command_id=told.command_id,
        correlation_id=told.correlation_id,
        causation_id=told.causation_id,
        actor=told.actor,
        ip=told.ip,
        occurred_at=told.occurred_at,
        recorded_at=told.recorded_at,
        headers=told.headers,
        event=catalogue.decode(kind, bytes(told.event)),
    )


def progress(data: bytes) -> RunProgress:
    """Return the progress that a message holds."""
    return _progress.decode(data)


def steps(data: bytes) -> list[StepMetrics]:
    """Return the steps that a message holds."""
    return _steps.decode(data).steps


def _meant(problem: Problem, *, retry_after: float) -> Failure:
    detail, path = problem.detail, problem.path
    match problem:
        case Problem(status=409):
            return Conflict(detail, path=path, actual=problem.actual_version)
        case Problem(status=422, code="mismatch"):
            return Mismatch(detail, path=path)
        case Problem(status=429):
            return TooMany(detail, retry_after=retry_after)
        case Problem(status=status) if status in PROBLEMS:
            return PROBLEMS[status](detail, path=path)
        case _:
            return Unavailable(detail, path=path)
