"""Events as CloudEvents 1.0, for other services: JSON, in structured mode.

A message is whole in its body, so it survives whatever carries, keeps or bridges it.
`id` is the event's, `source` the organisation in its region, `subject` the stream,
`type` the event's type; `sequence` orders all events, as text and as a number, and
`partitionkey` names what is ordered in itself. The data is the event as the API tells
it, but for personal text, which does not leave: what is published cannot be called
back when its subject is erased. Its fields read `SEALED` and are named in `sealed`;
whoever may read them reads the stream.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from events import catalogue
from events.message import SEALED, Event, Recorded
from services.personal import personal_fields


MEDIA_TYPE: Final = "application/cloudevents+json"
DIGITS: Final = 19

_encode: Final = msgspec.json.Encoder().encode


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as other services see it.

    `streamversion` is its place in its stream, `onbehalfof` the user for whom a service
    asked. `traceparent` and `tracestate` are the
    W3C trace context of the command. `republished`: somebody had it sent again.
    """

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: str
    partitionkey: str
    streamversion: int
    orgid: str
    actor: str
    commandid: UUID
    correlationid: UUID
    causationid: UUID | UnsetType = UNSET
    occurredat: datetime
    onbehalfof: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
    sealed: str | UnsetType = UNSET
    republished: bool | UnsetType = UNSET
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    data: msgspec.Raw


def cloud_event(recorded: Recorded[Event], *, republished: bool = False) -> CloudEvent:
    """Return an event as other services see it."""
    event = recorded.event
    sealed = tuple(personal_fields(event))
    if sealed:
        event = msgspec.structs.replace(event, **dict.fromkeys(sealed, SEALED))
    headers = recorded.headers or {}
    return CloudEvent(
        id=recorded.event_id,
        source=f"urn:rehearsal:{recorded.region}:{recorded.org_id}",
        type=catalogue.tag(type(event)),
        subject=recorded.stream_id,
        time=recorded.recorded_at,
        sequence=f"{recorded.position:0{DIGITS}d}",
        partitionkey=recorded.stream_id,
        streamversion=recorded.version,
        orgid=recorded.org_id,
        actor=recorded.actor,
        commandid=recorded.command_id,
        correlationid=recorded.correlation_id,
        causationid=recorded.causation_id or UNSET,
        occurredat=recorded.occurred_at,
        onbehalfof=recorded.on_behalf_of or UNSET,
        traceparent=headers.get("traceparent", UNSET),
        tracestate=headers.get("tracestate", UNSET),
        sealed=",".join(sealed) if sealed else UNSET,
        republished=republished or UNSET,
        data=msgspec.Raw(catalogue.encode(event)),
    )


def encoded(event: CloudEvent) -> bytes:
    """Return a message's body."""
    return _encode(event)
