"""Commands that wait in RabbitMQ, taken by one intake: how long until all are stored.

Every message is published and confirmed before the intake starts. Each is a command on
one of many streams, numbered; afterwards the log has to hold the numbers of each stream
in the order in which they were sent, each once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from time import perf_counter
from typing import Final

from infra.clock import new_id
from infra.embedded.ladder import own_programs
from infra.rabbit.connection import Link
from infra.rabbit.publisher import Outgoing, Publisher
from infra.rabbit.topology import Topology
from tests.bench.measuring import Bar, Figure
from tests.bench.over_http import token_of
from tests.bench.server import Bench, FailedError, Place
from tests.bench.trials import STALLED, serving
from tests.bench.workload import create_personas, persona_id, version_of
from tests.rabbit_ladder import temporary_broker


ROW: Final = "intake"
STREAMS: Final = 500
PORTION: Final = 2_000
KEY: Final = "testing.AddPersonaVersion"
LONGEST: Final = 300.0  # seconds
LOOK: Final = 0.5
PATIENCE: Final = 120.0

STORED: Final = """
SELECT count(*)
  FROM es.events
 WHERE type = 'testing.PersonaVersionAdded'
   AND version > 2
"""
IN_ORDER: Final = """
SELECT count(*)
  FROM (
       SELECT stream_id,
              array_agg(
                  substring(data ->> 'background' FROM ', ([0-9]+)[.]$')::integer
                  ORDER BY version
              ) AS numbers
         FROM es.events
        WHERE type = 'testing.PersonaVersionAdded'
          AND version > 2
        GROUP BY stream_id
  ) AS stream
 WHERE numbers = ARRAY(SELECT generate_series(0, $1::integer - 1))
"""


async def measure(bench: Bench) -> list[Figure]:
    """Return the figure of the row."""
    rung = own_programs()
    if rung is None or rung.programs is None:
        note = "not measured: rabbitmq-server is not on this machine"
        return [Figure(row=ROW, what="commands over AMQP", unit="s", note=note)]
    programs = await asyncio.to_thread(rung.programs)
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(bench.database(ROW))
        broker = await stack.enter_async_context(temporary_broker(programs))
        each = max(1, bench.commands // STREAMS)
        names = [f"intake-{number}" for number in range(STREAMS)]
        async with place.core() as parts:
            await create_personas(parts.handler, names)
        sent = await send(broker.url, place, names, each)
        began = perf_counter()
        await stack.enter_async_context(
            serving(place, "intake", broker.url, bench.folder / "intake.log")
        )
        took = await drained(place, began, each)
    total = each * STREAMS
    return [
        Figure(
            row=ROW,
            what=f"{total:,} commands that wait in RabbitMQ, one intake",
            unit="s",
            value=took,
            bar=Bar(most=LONGEST),
            note=f"{total / took:,.0f} a second, in order on {STREAMS} streams; "
            f"published and confirmed in {sent:.1f} s",
        )
    ]


async def send(url: str, place: Place, names: Sequence[str], each: int) -> float:
    """Publish every command, the streams in turn; return how long that took."""
    topology = Topology()
    headers = {"authorization": f"Bearer {token_of(place)}"}
    link = Link(url, name="bench")
    await link.open()
    publisher = Publisher(link, seconds=PATIENCE)
    began = perf_counter()
    try:
        for number in range(each):
            for start in range(0, len(names), PORTION):
                messages = [
                    Outgoing(
                        exchange=topology.commands.exchange.name,
                        routing_key=KEY,
                        body=version_of(persona_id(name), number),
                        headers=headers,
                        message_id=str(new_id()),
                        mandatory=False,
                    )
                    for name in names[start : start + PORTION]
                ]
                await publisher.publish(messages, into=topology.commands)
    finally:
        await publisher.close()
        await link.close()
    return perf_counter() - began


async def drained(place: Place, began: float, each: int) -> float:
    """Return how long it took until everything was stored, in order."""
    async with place.superuser() as connection:
        known, moved = 0, perf_counter()
        while known < each * STREAMS:
            await asyncio.sleep(LOOK)
            stored = await connection.fetchval(STORED)
            if stored > known:
                known, moved = stored, perf_counter()
            if perf_counter() - moved > STALLED:
                message = f"{known} of {each * STREAMS} commands are stored, no more"
                raise FailedError(message)
        took = perf_counter() - began
        in_order = await connection.fetchval(IN_ORDER, each)
    if in_order != STREAMS:
        message = f"{in_order} of {STREAMS} streams are in order"
        raise FailedError(message)
    return took
