"""What a trial needs of its run: the pinned unit test, read once and kept for others.

Everything is read as of the position at which the run pinned it, so that it is the same
for every trial, on any worker and at any time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from events.errors import Missing
from events.ids import SetRunId, UnitTestId
from events.log import PAGE, Blobs, EventLog
from events.message import Event, Recorded
from events.testing.agents import AgentConfigured
from events.testing.personas import (
    PersonaCreated,
    PersonaDetailsChanged,
    PersonaVersionAdded,
)
from events.testing.scenarios import ScenarioVersionAdded
from events.testing.set_runs import SetRunPinned, SetRunRequested, Spec
from services.engines.dialogue.brief import UserBrief
from services.engines.dialogue.turns import Opens
from services.testing import agents, personas, scenarios, set_runs
from services.work.agents import AgentUnderTest, TargetFaultError, connect


KEPT_RUNS: Final = 64
KEPT_CASES: Final = 2_048

K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E", bound=Event)


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its trials see it; `position` is where it was pinned."""

    seed: int
    position: int
    specs: dict[UnitTestId, Spec]


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A unit test ready to be held; `agent` is the fault where it cannot be asked.

    `event` is what stands before the first word, where something happened.
    """

    seed: int
    spec: Spec
    brief: UserBrief
    opens: Opens
    event: str | None
    agent: AgentUnderTest | TargetFaultError


class Cases:
    """Finds cases, and keeps those that were used last, unless they have a fault."""

    def __init__(self, *, log: EventLog, blobs: Blobs) -> None:
        self._log = log
        self._blobs = blobs
        self._runs: OrderedDict[SetRunId, Pinned] = OrderedDict()
        self._cases: OrderedDict[tuple[SetRunId, UnitTestId], Case] = OrderedDict()

    async def case(
        self, run_id: SetRunId, unit_test_id: UnitTestId, *, org_id: str, upto: int
    ) -> Case:
        """Return what a trial of a run needs; the run was pinned at or before `upto`.

        Raises `Missing` where the organisation's run has no such unit test.
        """
        key = (run_id, unit_test_id)
        known = self._cases.get(key)
        if known is None:
            run = await self._run(run_id, org_id=org_id, upto=upto)
            if unit_test_id not in run.specs:
                raise Missing
            known = await self._load(run, run.specs[unit_test_id])
        if not isinstance(known.agent, TargetFaultError):
            keep(self._cases, key, known, KEPT_CASES)
        return known

    async def _run(self, run_id: SetRunId, *, org_id: str, upto: int) -> Pinned:
        known = self._runs.get(run_id)
        if known is None:
            # It is pinned before anything is counted.
            stream_id = f"{set_runs.decider.category}-{run_id}"
            start = await self._log.read_stream(stream_id, upto=upto, limit=PAGE)
            known = pinned_of(start.events, org_id)
        keep(self._runs, run_id, known, KEPT_RUNS)
        return known

    async def _load(self, run: Pinned, spec: Spec) -> Case:
        upto = run.position
        persona = await self._read(
            personas.decider.category, spec.persona_id, upto=upto
        )
        scenario = version_of(
            await self._read(scenarios.decider.category, spec.scenario_id, upto=upto),
            ScenarioVersionAdded,
            spec.scenario_version,
        )
        configured = version_of(
            await self._read(agents.decider.category, spec.service_id, upto=upto),
            AgentConfigured,
            spec.service_version,
        )
        opening = scenario.initial_message
        return Case(
            seed=run.seed,
            spec=spec,
            brief=brief_of(
                version_of(persona, PersonaVersionAdded, spec.persona_version),
                tags_of(persona),
                scenario,
            ),
            opens=opening.kind,
            event=opening.text if opening.kind == "external_event" else None,
            agent=await self._agent(configured),
        )

    async def _agent(
        self, configured: AgentConfigured
    ) -> AgentUnderTest | TargetFaultError:
        try:
            return await connect(configured.connection, self._blobs)
        except TargetFaultError as fault:
            return fault

    async def _read(
        self, category: str, key: UUID, *, upto: int
    ) -> Sequence[Recorded[Event]]:
        stream = await self._log.read_stream(f"{category}-{key}", upto=upto)
        return stream.events


def pinned_of(history: Sequence[Recorded[Event]], org_id: str) -> Pinned:
    """Return what a run's history says that it pinned."""
    seed: int | None = None
    for recorded in history:
        event = recorded.event
        if recorded.org_id != org_id:
            raise Missing
        if isinstance(event, SetRunRequested):
            seed = event.seed
        if isinstance(event, SetRunRequested | SetRunPinned) and event.specs:
            return Pinned(
                seed=seed or 0,
                position=recorded.position,
                specs={spec.unit_test_id: spec for spec in event.specs},
            )
    raise Missing


def version_of(history: Sequence[Recorded[Event]], kind: type[E], version: int) -> E:
    """Return the event that added a version."""
    for recorded in history:
        event: Any = recorded.event
        if isinstance(event, kind) and event.version == version:  # type: ignore[attr-defined]
            return event
    raise Missing


def tags_of(history: Sequence[Recorded[Event]]) -> tuple[tuple[str, str | None], ...]:
    """Return the tags of a persona after its history."""
    tags: dict[str, str | None] = {}
    for recorded in history:
        if isinstance(recorded.event, PersonaCreated | PersonaDetailsChanged):
            tags = recorded.event.tags
    return tuple(tags.items())


def brief_of(
    persona: PersonaVersionAdded,
    tags: tuple[tuple[str, str | None], ...],
    scenario: ScenarioVersionAdded,
) -> UserBrief:
    """Return what the simulated user is told."""
    opening = scenario.initial_message
    return UserBrief(
        objective=scenario.objective,
        background=persona.background,
        instructions=scenario.instructions,
        opening=opening.text if opening.kind == "user_message" else None,
        language=persona.preferred_language,
        tags=tags,
    )


def keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value, and forget the one unused for longest if need be."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
