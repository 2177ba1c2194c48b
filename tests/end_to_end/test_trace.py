"""One trace, from a message through events and work to the events that are told."""

import asyncio
from typing import Any, Final

import msgspec

from infra.messaging import relaying
from infra.working import working
from tests.builders import new_id
from tests.end_to_end.amqp import amqp, carrier
from tests.end_to_end.stack import Stack
from tests.end_to_end.test_events_out import subscribed
from tests.services.work.library import A_LIVE_RUN, library


PARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE: Final = "congo=t61rcWkgMzE"
PATIENCE: Final = 60.0


def types(events: list[dict[str, Any]]) -> set[str]:
    return {event["type"] for event in events}


async def test_a_trace_goes_through_command_event_work_result_and_cloudevent(
    stack: Stack, rabbitmq: str
) -> None:
    async with stack.client() as client:
        for command in library(tests=1):
            await client.send(command)
    async with (
        amqp(stack, rabbitmq) as producer,
        subscribed(rabbitmq) as subscriber,
        working(
            stack.urls,
            stack.project,
            data_dir=stack.settings.data_dir,
            carrier=carrier(rabbitmq, producer.topology),
        ),
        relaying(
            stack.urls,
            stack.project,
            carrier=carrier(rabbitmq, subscriber.topology),
        ),
        asyncio.timeout(PATIENCE),
    ):
        command_id = new_id()
        answer = await producer.ask(
            msgspec.to_builtins(A_LIVE_RUN),
            command_id=command_id,
            headers={"traceparent": PARENT, "tracestate": STATE},
        )
        assert answer["status"] == "ok"
        while "testing.SetRunCompleted" not in types(subscriber.events):
            subscriber.changed.clear()
            await subscriber.changed.wait()

    events = [
        event
        for event in subscriber.events
        if event["correlationid"] == str(command_id)
    ]
    assert {"testing.SetRunRequested", "testing.TrialFinished"} <= types(events)
    assert "conversation.MessageAdded" in types(events)
    assert {event["traceparent"] for event in events} == {PARENT}
    assert {event["tracestate"] for event in events} == {STATE}
    recorded = [
        each for each in await stack.events() if each.correlation_id == command_id
    ]
    told = [event["id"] for event in events]
    assert told == [str(each.event_id) for each in recorded][: len(told)]
    jobs = await stack.as_superuser(
        "SELECT DISTINCT headers::text FROM es.work WHERE correlation_id = $1",
        command_id,
    )
    assert [PARENT in job["headers"] for job in jobs] == [True]
