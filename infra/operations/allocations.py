"""The proof of a playground's places: from its ledger, its evaluations, its counters.

The ledger proves itself. Beside it, every evaluation's own stream has to say the same
of its place, and the counters that dashboards read have to say the same of each model.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from events.errors import Missing
from events.ids import EvaluationId, PlaygroundId
from events.log import EventLog
from events.message import Event
from events.playgrounds.allocations import (
    SlotConsumed,
    SlotImported,
    SlotReleased,
    SlotReserved,
    SlotReturned,
)
from events.playgrounds.evaluations import (
    EvaluationExcluded,
    EvaluationLapsed,
    EvaluationOpened,
    EvaluationSubmitted,
    EvaluationWithdrawn,
)
from services.http.reading import Reader
from services.identity import Identity
from services.playgrounds import evaluations, ledgers
from services.playgrounds.ledger_states import Count
from services.playgrounds.verifying import Flaw, Proof, proof


AT_A_TIME: Final = 16

COUNTERS: Final = """
SELECT model_key,
       current_count,
       reserved,
       given
FROM playgrounds.evaluation_counters
WHERE playground_id = $1
"""

TELLS: Final[Mapping[type[Event], type[Event] | tuple[type[Event], ...]]] = {
    SlotReserved: EvaluationOpened,
    SlotConsumed: EvaluationSubmitted,
    SlotReleased: EvaluationLapsed,
    SlotReturned: (EvaluationWithdrawn, EvaluationExcluded),
}


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What the proof of a playground's places came to; `ok` where nothing is wrong.

    `problems` are those of evaluations and counters, `proof.flaws` the ledger's own.
    """

    ok: bool
    proof: Proof
    evaluations: int
    problems: list[str]


async def verified(
    log: EventLog, reader: Reader, identity: Identity, playground_id: PlaygroundId
) -> Verified:
    """Return the proof of a playground's places, or raise `Missing`.

    The read tables have to hold what the log holds.
    """
    stream_id = f"{ledgers.decider.category}-{playground_id}"
    stream = await log.read_stream(stream_id)
    if not stream.events or stream.org_id != identity.org_id:
        raise Missing("There is no such playground.")
    facts: list[Any] = [recorded.event for recorded in stream.events]
    found = proof(playground_id, facts)
    told = told_by_evaluation(facts)
    problems = await in_evaluations(log, told)
    rows = await reader.read(identity, COUNTERS, [playground_id])
    shown = {
        row["model_key"]: Count(
            consumed=row["current_count"], reserved=row["reserved"], given=row["given"]
        )
        for row in rows
    }
    problems += in_counters(found, shown)
    return Verified(
        ok=found.ok and not problems,
        proof=found,
        evaluations=len(told),
        problems=problems,
    )


def told_by_evaluation(
    facts: Sequence[Event],
) -> Mapping[EvaluationId, list[type[Event]]]:
    """Return what a ledger says of each evaluation's place, in order."""
    told: dict[EvaluationId, list[type[Event]]] = {}
    for event in facts:
        match event:
            case SlotReserved() | SlotConsumed() | SlotReleased() | SlotReturned():
                told.setdefault(event.session_id, []).append(type(event))
            case SlotImported():
                told.setdefault(event.session_id, []).extend(
                    (SlotReserved, SlotConsumed)
                )
            case _:
                pass
    return told


async def in_evaluations(
    log: EventLog, told: Mapping[EvaluationId, Sequence[type[Event]]]
) -> list[str]:
    """Return which evaluations say otherwise of their places than the ledger."""
    slots = asyncio.Semaphore(AT_A_TIME)
    wanted = tuple(
        kind
        for kinds in TELLS.values()
        for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
    )

    async def problem_of(
        session_id: EvaluationId, kinds: Sequence[type[Event]]
    ) -> str | None:
        async with slots:
            stream = await log.read_stream(
                f"{evaluations.decider.category}-{session_id}"
            )
        own = [r.event for r in stream.events if isinstance(r.event, wanted)]
        same = len(own) == len(kinds) and all(
            isinstance(event, TELLS[kind])
            for event, kind in zip(own, kinds, strict=True)
        )
        if same:
            return None
        said = ", ".join(type(event).__name__ for event in own) or "nothing"
        ledger = ", ".join(kind.__name__ for kind in kinds)
        return f"Evaluation {session_id} says {said}; the ledger says {ledger}."

    answers = await asyncio.gather(*(problem_of(*item) for item in told.items()))
    return [answer for answer in answers if answer]


def in_counters(found: Proof, shown: Mapping[str, Count]) -> list[str]:
    """Return which counters differ from the ledger's count."""
    return [
        f"The counter of {key} is {shown.get(key)}; the ledger counts {count}."
        for key in sorted({*found.counts, *shown})
        if (count := found.counts.get(key, Count())) != shown.get(key)
    ]


def worded(flaw: Flaw) -> str:
    """Return a flaw as a sentence."""
    return f"At version {flaw.version}: {flaw.problem}"
