"""The job `report_run`: write the reports of a live run that is completed.

They are made of the run as it was at its completion; after a retry of some trials the
run is completed again, and gets reports of its own beside the earlier ones.
"""

import hashlib
from typing import NamedTuple
from uuid import uuid5

import msgspec

from events.ids import SetRunId
from events.log import Blobs, EventLog, stream_pages
from services.ports import Clock, Lease
from services.testing import set_runs
from services.testing.artifacts import RunHistory, as_json, as_junit
from services.testing.reactions import ReportBody
from services.testing.set_runs import AttachArtifact
from services.work.results import result_meta
from services.work.trials import Handle


class Written(NamedTuple):
    """A report as it is kept."""

    name: str
    media_type: str
    content: bytes


class ReportRun:
    """Writes the reports of runs."""

    def __init__(
        self, *, log: EventLog, blobs: Blobs, handle: Handle, clock: Clock
    ) -> None:
        self._log = log
        self._blobs = blobs
        self._handle = handle
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Keep the reports among the blobs and attach them to the run."""
        run_id = msgspec.convert(lease.job.body, ReportBody).run_id
        for report in await self._written(run_id, upto=lease.job.position):
            await self._blobs.put(report.content, media_type=report.media_type)
            attached = AttachArtifact(
                run_id=run_id,
                artifact_id=uuid5(run_id, report.name),
                name=report.name,
                media_type=report.media_type,
                sha256=hashlib.sha256(report.content).hexdigest(),
                size=len(report.content),
            )
            meta = result_meta(lease, report.name, occurred_at=self._clock())
            await self._handle(attached, meta)

    async def _written(self, run_id: SetRunId, *, upto: int) -> list[Written]:
        """Return the reports; what they are made of is not held any longer."""
        history = RunHistory()
        await catch_up(history, self._log, run_id, upto=upto)
        report = history.report()
        if report.origin != "live":  # completions once did not tell it
            return []
        suffix = "" if history.completions == 1 else f"-{history.completions}"
        return [
            Written(f"results{suffix}.json", "application/json", as_json(report)),
            Written(f"junit{suffix}.xml", "application/xml", as_junit(report)),
        ]


async def catch_up(
    history: RunHistory, log: EventLog, run_id: SetRunId, *, upto: int | None = None
) -> None:
    """Have a run's history take the facts that it lacks."""
    stream_id = f"{set_runs.decider.category}-{run_id}"
    async for page in stream_pages(log, stream_id, after=history.version, upto=upto):
        for recorded in page.events:
            history.add(recorded)
