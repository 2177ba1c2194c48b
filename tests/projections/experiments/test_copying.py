"""Bodies that tables are filled from: read in portions, and parked when damaged."""

import asyncio
from collections.abc import Iterator, Sequence
from threading import Event as Signal

import asyncpg
import pytest
import zstandard
from msgspec.structs import replace

from events.experiments.columnar import archived
from events.experiments.simulations import ChunkRecorded, RowsRecorded
from events.ids import SimulationId
from events.message import Event, Recorded
from projections.copying import PORTION, ahead, portions
from tests.builders import new_id
from tests.projections.experiments.world import Shown
from tests.recorded import recorded
from tests.services.experiments import examples


pytestmark = pytest.mark.furnished


def chunk(rows: int) -> ChunkRecorded:
    event = examples.recorded(examples.chunk(1, 333))
    return replace(event, rows={"steps": 1, "states": rows - 1})


AGAIN = RowsRecorded(
    simulation_id=examples.SIMULATION,
    simulation=1,
    request=1,
    first_step=0,
    last_step=9,
    body="b",
    rows={"states": 10},
)


def told(batch: Sequence[Recorded[Event]]) -> list[list[int]]:
    return [[each.position for each in portion] for portion in portions(batch)]


def test_chunks_are_copied_together_up_to_so_many_rows() -> None:
    large, small = chunk(PORTION - 100), chunk(60)
    batch = recorded(small, small, large, small, small, large, large)

    assert told(batch) == [[1, 2], [3, 4], [5, 6], [7]]


def test_rows_that_were_made_again_are_copied_after_all_before_them() -> None:
    batch = recorded(chunk(60), AGAIN, AGAIN, chunk(60), chunk(60))

    assert told(batch) == [[1], [2], [3], [4, 5]]


async def test_rows_are_packed_while_others_are_written() -> None:
    begun = Signal()

    def packs() -> Iterator[memoryview]:
        yield memoryview(b"first")
        begun.set()
        yield memoryview(b"second")

    made = ahead(packs())

    assert bytes(await anext(made)) == b"first"
    assert await asyncio.to_thread(begun.wait, 10)
    assert [bytes(pack) async for pack in made] == [b"second"]


async def test_nothing_is_packed_once_writing_has_stopped() -> None:
    begun, may_end = Signal(), Signal()
    ended = []

    def packs() -> Iterator[memoryview]:
        yield memoryview(b"first")
        begun.set()
        may_end.wait(10)
        ended.append(True)
        raise ValueError

    made = ahead(packs())
    await anext(made)
    await asyncio.to_thread(begun.wait, 10)
    closing = asyncio.ensure_future(made.aclose())
    may_end.set()
    await closing

    assert ended


@pytest.mark.parametrize(
    "broken",
    [
        b"no frame",
        zstandard.compress(b"no chunk"),
        zstandard.compress(archived({"steps": b"no rows"})),
    ],
)
async def test_a_run_with_a_damaged_body_waits_while_others_flow(
    shown: Shown, broken: bytes
) -> None:
    floor = shown.floor
    damaged, whole = SimulationId(new_id()), SimulationId(new_id())
    for seed, run in enumerate((damaged, whole), start=8):
        await floor.ask(replace(examples.REQUEST, simulation_id=run, seed=seed))
    await floor.settle()
    made = await floor.events(ChunkRecorded)
    chunks = [each for each in made if each.simulation_id == damaged]
    body = chunks[1].body
    await put(shown, body, broken)
    await shown.feed()

    assert await steps(shown, damaged) == chunks[1].first_step
    assert await steps(shown, whole) == 1_001
    (parked,) = await shown.operations.parked()
    assert body in str(parked.error)

    await put(shown, body, zstandard.compress(floor.blobs.contents[body]))
    await shown.operations.retry("experiments", parked.key)
    assert await steps(shown, damaged) == 1_001


async def steps(shown: Shown, run: SimulationId) -> int:
    query = "SELECT count(*) FROM simulation_steps JOIN simulations"
    count = await shown.value(
        f"{query} USING (simulation_id) WHERE _id = $1",
        str(run),
    )
    return int(count)


async def put(shown: Shown, body: str, content: bytes) -> None:
    """Let a body be stored as it never should be."""
    connection = await asyncpg.connect(shown.database.superuser)
    try:
        await connection.execute("ALTER TABLE es.blobs DISABLE TRIGGER ALL")
        await connection.execute(
            """
            INSERT INTO es.blobs (sha256, media_type, size, content)
            VALUES ($1, 'application/octet-stream', $2, $3)
            ON CONFLICT (sha256) DO UPDATE SET content = EXCLUDED.content
            """,
            bytes.fromhex(body),
            len(shown.floor.blobs.contents[body]),
            content,
        )
    finally:
        await connection.close()
