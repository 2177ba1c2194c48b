"""The proof of a playground's places."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from events.errors import Missing
from events.ids import PlaygroundId
from events.log import Append, Write
from events.playgrounds.evaluations import EvaluationWithdrawn
from infra.operations.allocations import Verified, verified
from services.identity import Identity
from services.playgrounds.evaluations import ExcludeEvaluation
from tests.services.playgrounds.examples import (
    PLAYGROUND,
    a_playground,
    a_slot,
    a_submission,
    session,
)
from tests.services.work.floor import Floor


WHO = Identity(org_id="acme", region="eu", actor="user:ada")


class Counters:
    """Reads counters that the test gives."""

    def __init__(self, **counters: tuple[int, int, int]) -> None:
        self.counters = counters

    async def read(
        self, _identity: Identity, _sql: str, _args: Sequence[object]
    ) -> Sequence[Any]:
        names = ("current_count", "reserved", "given")
        return [
            {"model_key": key, **dict(zip(names, counts, strict=True))}
            for key, counts in self.counters.items()
        ]


async def evaluated() -> Floor:
    floor = Floor()
    await floor.ask(a_playground(3))
    for number in (1, 2):
        await floor.ask(a_slot(number), a_submission(number), by=f"user:t{number}")
    await floor.ask(ExcludeEvaluation(session_id=session(1), reason="A robot"))
    await floor.ask(a_slot(3), by="user:t3")
    await floor.settle()
    return floor


async def check(floor: Floor, **counters: tuple[int, int, int]) -> Verified:
    return await verified(floor.log, Counters(**counters), WHO, PLAYGROUND)


async def test_a_ledger_its_evaluations_and_counters_agree() -> None:
    found = await check(await evaluated(), model_a=(1, 1, 3))
    assert found.ok, found
    assert (found.proof.allocations, found.evaluations) == (3, 3)


async def test_a_counter_that_differs_is_named() -> None:
    found = await check(await evaluated(), model_a=(2, 1, 3), model_b=(1, 0, 1))
    assert not found.ok
    assert [problem.partition(" is ")[0] for problem in found.problems] == [
        "The counter of model_a",
        "The counter of model_b",
    ]


async def test_an_evaluation_that_says_otherwise_is_named() -> None:
    floor = await evaluated()
    forged = EvaluationWithdrawn(session_id=session(2), playground_id=PLAYGROUND)
    stream = f"playgrounds.evaluation-{session(2)}"
    meta = floor.meta()
    await floor.log.append(
        Append(
            meta=meta,
            body_hash=bytes(32),
            writes=(Write(stream_id=stream, events=(forged,)),),
        )
    )
    found = await check(floor, model_a=(1, 1, 3))
    assert [problem[:45] for problem in found.problems] == [
        f"Evaluation {session(2)}"[:45]
    ]


async def test_what_is_not_there_or_another_s_is_missing() -> None:
    floor = await evaluated()
    elsewhere = replace(WHO, org_id="umbrella")
    with pytest.raises(Missing):
        await verified(floor.log, Counters(), elsewhere, PLAYGROUND)
    with pytest.raises(Missing):
        await verified(floor.log, Counters(), WHO, PlaygroundId(UUID(int=404)))
