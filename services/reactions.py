"""Reactions: what follows from an event, as a pure function of it.

`react(recorded)` returns commands, jobs and ends of jobs. It is asked again after every
interruption, so its answer depends on the event alone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid5

import msgspec

from events.message import Command, Event, Meta, Recorded
from services.ports import Job


SYSTEM = "system:dispatcher"


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """The job with this effect key has its result in the log."""

    effect_key: str


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody wants the jobs of a key, or of a group, that were asked for before."""

    key: str | None = None
    group_key: str | None = None


Reaction = Command | Job | Close | Cancel
React = Callable[[Recorded[Any]], Sequence[Reaction]]
Reactions = Mapping[type[Event], Sequence[React]]


def effect_key(recorded: Recorded[Any], name: str) -> str:
    """Return the key of what an event asks for under a name, once for all time."""
    return f"{recorded.event_id}/{name}"


def job(
    recorded: Recorded[Any],
    kind: str,
    *,
    body: Mapping[str, object],
    key: str | None = None,
    name: str | None = None,
    not_before: datetime | None = None,
    group_key: str | None = None,
    group_limit: int | None = None,
    max_attempts: int = 5,
) -> Job:
    """Return the job of a kind that an event asks for.

    Its key is the event's stream unless given. An event that asks for several jobs of
    one kind tells them apart by `name`.
    """
    return Job(
        effect_key=effect_key(recorded, name or kind),
        kind=kind,
        key=key or recorded.stream_id,
        org_id=recorded.org_id,
        region=recorded.region,
        position=recorded.position,
        event_id=recorded.event_id,
        correlation_id=recorded.correlation_id,
        body=body,
        not_before=not_before,
        group_key=group_key,
        group_limit=group_limit,
        max_attempts=max_attempts,
        headers=recorded.headers or {},
    )


def reaction_meta(recorded: Recorded[Any], name: str) -> Meta:
    """Return the envelope of a command that follows from an event."""
    return Meta(
        command_id=uuid5(recorded.event_id, name),
        org_id=recorded.org_id,
        region=recorded.region,
        actor=SYSTEM,
        correlation_id=recorded.correlation_id,
        causation_id=recorded.event_id,
        occurred_at=recorded.recorded_at,
        headers=recorded.headers or {},
    )
