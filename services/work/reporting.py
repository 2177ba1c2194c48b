"""The job `report_run`: write the reports of a live run that is completed.

They are made of the run as it was at its completion; after a retry of some trials the
run is completed again, and gets reports of its own beside the earlier ones.
"""

import hashlib
from uuid import uuid5

import msgspec

from events.log import Blobs, EventLog
from events.testing.set_runs import SetRunCompleted
from services.ports import Clock, Lease
from services.testing import set_runs
from services.testing.artifacts import as_json, as_junit, report_of
from services.testing.reactions import ReportBody
from services.testing.set_runs import AttachArtifact
from services.work.results import result_meta
from services.work.trials import Handle


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
        stream = await self._log.read_stream(
            f"{set_runs.decider.category}-{run_id}", upto=lease.job.position
        )
        report = report_of(stream.events)
        if report.origin != "live":  # completions once did not tell it
            return
        completions = sum(
            isinstance(recorded.event, SetRunCompleted) for recorded in stream.events
        )
        suffix = "" if completions == 1 else f"-{completions}"
        for name, media_type, content in (
            (f"results{suffix}.json", "application/json", as_json(report)),
            (f"junit{suffix}.xml", "application/xml", as_junit(report)),
        ):
            await self._blobs.put(content, media_type=media_type)
            attached = AttachArtifact(
                run_id=run_id,
                artifact_id=uuid5(run_id, name),
                name=name,
                media_type=media_type,
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
            )
            meta = result_meta(lease, name, occurred_at=self._clock())
            await self._handle(attached, meta)
