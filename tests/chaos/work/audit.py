"""Judges a campaign from the log, es.work, the tables and what was written down."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from events import catalogue
from events.message import Event
from events.testing.set_runs import ArtifactGenerated, SetRunCompleted, TrialCounted
from events.testing.trials import TrialFinished
from infra.postgres.work import job_id
from projections.catalogue import GROUPS
from services.testing import set_runs, trials
from services.testing.reactions import trial_key
from services.testing.set_runs import StartSetRun
from tests.chaos.audit import judge_chain, judge_rebuilt
from tests.chaos.findings import Findings
from tests.chaos.work.expected import undisturbed
from tests.postgres_ladder import Database


TRIAL: Final = f"{trials.decider.category}-"
RUN: Final = f"{set_runs.decider.category}-"
REPORTS: Final = 2
EVENTS: Final = """
SELECT position, stream_id, version, type, data::text, xmin::text
  FROM es.events
 ORDER BY position
"""
RESULTS: Final = """
SELECT xid, job_id, fence, stale, refused
  FROM chaos.results
 ORDER BY n
"""
AGAIN: Final = """
SELECT job_id, count(*)
  FROM chaos.moves
 WHERE was IN ('done', 'failed', 'cancelled')
 GROUP BY job_id
"""
WORK: Final = """
SELECT kind, state, count(*), count(*) FILTER (WHERE attempt > 1), max(attempt),
       min(effect_key)
  FROM es.work
 GROUP BY kind, state
"""

Stored = tuple[int, Event, str]  # position, event, transaction


class Log:
    """The streams of trials and of runs, as the log holds them."""

    def __init__(self) -> None:
        self.events = 0
        self.streams: dict[str, list[Stored]] = {}

    async def load(self, connection: Any) -> None:  # noqa: ANN401 - a connection
        """Read everything at one moment."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            async for row in connection.cursor(EVENTS, prefetch=5_000):
                position, stream_id, _, kind, data, xid = row
                self.events += 1
                if stream_id.startswith((TRIAL, RUN)):
                    event = catalogue.decode(kind, data.encode())
                    self.streams.setdefault(stream_id, []).append(
                        (position, event, xid)
                    )


async def judge_work(
    database: Database,
    *,
    tests: int,
    trials: int,
    runs: Sequence[StartSetRun],
    findings: Findings,
) -> Mapping[str, int]:
    """Judge everything, and return what was looked at."""
    log = Log()
    counts: Counter[str] = Counter()
    connection = await asyncpg.connect(database.superuser)
    try:
        await log.load(connection)
        results = await connection.fetch(RESULTS)
        again = await connection.fetch(AGAIN)
        work = await connection.fetch(WORK)
    finally:
        await connection.close()
    counts["events"] = log.events
    counts["runs"] = len(runs)
    for start in runs:
        expected = await undisturbed(tests, trials, start)
        counts["trials"] += len(expected)
        judge_run(log, start, expected, findings)
    judge_fences(log, results, counts, findings)
    for id_, times in again:
        findings.add("a job was done again after its end", f"{id_}", times)
    for kind, state, jobs, retried, most, example in work:
        counts[f"{kind} {state}"] += jobs
        counts["jobs tried again"] += retried
        counts["most attempts"] = max(counts["most attempts"], most)
        if state != "done":
            findings.add(f"a job is {state} in the end", f"{kind} {example}", jobs)
    if findings.violations:
        return counts
    counts["rows verified"] = await judge_chain(database.owner, (), findings)
    for group in GROUPS.values():
        counts["table rows compared"] += await judge_rebuilt(database, group, findings)
    return counts


def judge_run(
    log: Log,
    start: StartSetRun,
    expected: Mapping[str, Sequence[Event]],
    findings: Findings,
) -> None:
    """Hold a run against the same run undisturbed."""
    history = [event for _, event, _ in log.streams.get(f"{RUN}{start.run_id}", ())]
    counted = Counter(
        f"{TRIAL}{event.trial_id}"
        for event in history
        if isinstance(event, TrialCounted)
    )
    ends = sum(isinstance(event, SetRunCompleted) for event in history)
    reports = sum(isinstance(event, ArtifactGenerated) for event in history)
    if ends != 1:
        findings.add("a run did not end once", f"{start.run_id}: {ends} times")
    if ends == 1 and reports != REPORTS:
        findings.add("a run's reports are not two", f"{start.run_id}: {reports}")
    for stream_id, undisturbed_events in expected.items():
        said = [event for _, event, _ in log.streams.get(stream_id, ())]
        finished = sum(isinstance(event, TrialFinished) for event in said)
        if finished != 1:
            findings.add("a trial did not end once", f"{stream_id}: {finished} times")
        elif counted[stream_id] != 1:
            times = counted[stream_id]
            findings.add("a trial is not counted once", f"{stream_id}: {times} times")
        elif said != list(undisturbed_events):
            example = f"{stream_id}: {different(said, undisturbed_events)}"
            findings.add("a trial went otherwise than undisturbed", example)
    for stream_id in counted.keys() - expected.keys():
        findings.add("a trial that nobody asked for was counted", stream_id)


def judge_fences(
    log: Log,
    results: Sequence[Any],
    counts: Counter[str],
    findings: Findings,
) -> None:
    """Look for results that were let in though their lease was taken over."""
    fences: dict[tuple[str, UUID], int] = {}
    for xid, job, fence, stale, refused in results:
        counts["results"] += 1
        counts["stale results refused"] += refused
        if not refused:
            fences[xid, job] = fence
        if stale and not refused:
            findings.add("a stale result was let in", f"{job} under {fence}")
    for stream_id, stored in log.streams.items():
        if not stream_id.startswith(TRIAL):
            continue
        job = job_id(trial_key(UUID(stream_id.removeprefix(TRIAL))))  # type: ignore[arg-type]
        last = 0
        for position, _, xid in stored:
            fence = fences.get((xid, job), 0)
            if not fence:
                findings.add("a result without a lease", f"position {position}")
            elif fence < last:
                example = f"position {position}: {fence} after {last}"
                findings.add("fences of a job go back in the log", example)
            last = max(last, fence)


def different(said: Sequence[Event], wanted: Sequence[Event]) -> str:
    """Return the first difference."""
    for place, (one, other) in enumerate(zip(said, wanted, strict=False)):
        if one != other:
            return f"event {place}: {one} instead of {other}"
    return f"{len(said)} events instead of {len(wanted)}"
