"""Two small read tables that show any event which was fed twice, late or never."""

from collections.abc import Sequence
from typing import Final

from events.conversation import MessageAdded
from events.message import Event, Recorded
from projections.projection import Column, Group, Projection, Rows, Table


ENTRIES: Final = Table(
    schema="testing",
    name="chaos_entries",
    version=1,
    note="Every event, by its place in its stream",
    columns=(
        Column(name="stream_id", type="text", nullable=False),
        Column(name="version", type="bigint", nullable=False),
        Column(name="position", type="bigint", nullable=False),
        Column(name="org_id", type="text", nullable=False),
        Column(name="command_id", type="uuid", nullable=False),
        Column(name="text", type="text", nullable=False),
        Column(name="recorded_at", type="timestamptz", nullable=False),
    ),
    key=("stream_id", "version"),
    rows="org_id = access.current_org()",
)
STREAMS: Final = Table(
    schema="testing",
    name="chaos_streams",
    version=1,
    note="Every stream: how many events, and the last of them",
    columns=(
        Column(name="stream_id", type="text", nullable=False),
        Column(name="events", type="bigint", nullable=False, default="0"),
        Column(name="positions", type="numeric", nullable=False, default="0"),
        Column(name="last_position", type="bigint"),
        Column(name="last_text", type="text"),
    ),
    key=("stream_id",),
    rows="true",
)


def entries(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Insert each event; a second time is refused by the key."""
    for each in batch:
        if isinstance(each.event, MessageAdded):
            rows.insert(
                each.stream_id,
                each.version,
                each.position,
                each.org_id,
                each.command_id,
                each.event.text,
                each.recorded_at,
            )


def streams(batch: Sequence[Recorded[Event]], rows: Rows) -> None:
    """Count the events of each stream and remember the last."""
    for each in batch:
        if isinstance(each.event, MessageAdded):
            rows.add((each.stream_id,), events=1, positions=each.position)
            rows.patch(
                (each.stream_id,),
                last_position=each.position,
                last_text=each.event.text,
            )


GROUP: Final = Group(
    name="chaos",
    projections=(
        Projection(table=ENTRIES, events=(MessageAdded,), project=entries),
        Projection(table=STREAMS, events=(MessageAdded,), project=streams),
    ),
)

# The same rows, straight from the log; none where the tables are right.
UNEQUAL: Final = {
    "testing.chaos_entries": """
        SELECT count(*)
        FROM (
            SELECT stream_id, version, position, org_id, command_id,
                   data ->> 'text' AS text, recorded_at
            FROM es.events
        ) AS event
        FULL JOIN {table} AS entry USING (stream_id, version)
        WHERE (event.position, event.org_id, event.command_id, event.text,
               event.recorded_at)
            IS DISTINCT FROM (entry.position, entry.org_id, entry.command_id,
                              entry.text, entry.recorded_at)
    """,
    "testing.chaos_streams": """
        SELECT count(*)
        FROM (
            SELECT stream_id, count(*) AS events, sum(position) AS positions,
                   max(position) AS last_position,
                   (array_agg(data ->> 'text' ORDER BY position DESC))[1] AS last_text
            FROM es.events
            GROUP BY stream_id
        ) AS stream
        FULL JOIN {table} AS counted USING (stream_id)
        WHERE (stream.events, stream.positions, stream.last_position, stream.last_text)
            IS DISTINCT FROM (counted.events, counted.positions,
                              counted.last_position, counted.last_text)
    """,
}
