"""The job `pin_run`: find what a run of a set rests on now, and pin it.

What is found is confirmed by the things themselves when it is pinned. A run that cannot
be pinned, because something is not there or cannot be run, ends as failed.
"""

from typing import Any
from uuid import UUID

import msgspec

from events.errors import Closed, Conflict, Failure, Fenced, Mismatch, Missing, Refused
from events.ids import UnitTestId
from events.testing.set_runs import SetRunRequested, Spec
from events.testing.unit_test_sets import UnitTestEntry
from events.testing.unit_tests import UnitTestChanged
from services.decider import AnyDecider
from services.handling import Handler
from services.ports import Clock, Lease
from services.testing import (
    agents,
    metrics,
    personas,
    scenarios,
    set_runs,
    unit_test_sets,
    unit_tests,
)
from services.testing.common import still_there
from services.testing.reactions import PinBody
from services.testing.set_runs import FailSetRun, PinSetRun
from services.testing.specs import Pinnable, spec_of
from services.work.results import result_meta


NOT_OURS = (Closed, Conflict, Fenced, Mismatch)


class PinRun:
    """Pins the runs that start without specs."""

    def __init__(self, *, handler: Handler, clock: Clock) -> None:
        self._handler = handler
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Pin a run, or end it where that cannot be."""
        run_id = msgspec.convert(lease.job.body, PinBody).run_id
        look = Look(self._handler, lease.job.org_id)
        _, run = await self._handler.state(
            set_runs.decider, run_id, org_id=lease.job.org_id
        )
        if run.pinned or run.ended:
            return
        try:
            specs = await look.specs(run.requested)
            await self._handler.handle(
                PinSetRun(run_id=run_id, specs=tuple(specs)),
                result_meta(lease, "pin", occurred_at=self._clock()),
            )
        except NOT_OURS:
            raise
        except (Missing, Refused) as refusal:
            await self._handler.handle(
                FailSetRun(run_id=run_id, reason=reason_of(refusal)),
                result_meta(lease, "fail", occurred_at=self._clock()),
            )


class Look:
    """A look at what an organisation's set rests on; each thing is read once."""

    def __init__(self, handler: Handler, org_id: str) -> None:
        self._handler = handler
        self._org_id = org_id
        self._seen: dict[UUID, Any] = {}

    async def specs(self, requested: SetRunRequested) -> list[Spec]:
        """Return the specs of a run as they are now, in the order of its set."""
        found = await self._state(unit_test_sets.decider, requested.set_id)
        current = still_there(found.current, deleted=found.deleted, path="$.set_id")
        specs: list[Spec] = []
        for index, entry in enumerate(current.unit_tests):
            try:
                pinnable = await self._pinnable(entry)
                specs.append(spec_of(pinnable, requested.trials))
            except Missing as missing:
                path = f"$.specs[{index}]{(missing.path or '').lstrip('$')}"
                raise type(missing)(str(missing), path=path) from missing
        return specs

    async def _pinnable(self, entry: UnitTestEntry) -> Pinnable:
        test = await self._test(entry.unit_test_id)
        wanted = {criterion.metric_id for criterion in test.success_criterions}
        return Pinnable(
            entry=entry,
            test=test,
            persona=await self._state(personas.decider, test.persona_id),
            scenario=await self._state(scenarios.decider, test.scenario_id),
            agent=await self._state(agents.decider, test.service_id),
            metrics={
                key: await self._state(metrics.decider, key) for key in sorted(wanted)
            },
        )

    async def _test(self, key: UnitTestId) -> UnitTestChanged:
        test: unit_tests.UnitTest = await self._state(unit_tests.decider, key)
        return still_there(test.current, deleted=test.deleted, path=".unit_test_id")

    async def _state(self, decider: AnyDecider, key: UUID) -> Any:  # noqa: ANN401 - each decider has its own
        if key not in self._seen:
            _, self._seen[key] = await self._handler.state(
                decider, key, org_id=self._org_id
            )
        return self._seen[key]


def reason_of(refusal: Failure) -> str:
    """Return why a run cannot be pinned."""
    where = f" (at {refusal.path})" if refusal.path else ""
    return f"{refusal}{where}"
