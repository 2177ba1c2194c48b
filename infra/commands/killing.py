"""The demo's live part: a set is held twice, and the second time a worker is killed.

Whatever dies, each trial ends once, and the same seed gives the same verdicts.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import msgspec

from events.ids import SetRunId, TrialId, UnitTestSetId
from events.log import EventLog
from events.testing.trials import TrialFinished
from infra.clock import derived_id, new_id
from infra.commands.shared import progress as progress_bar
from infra.commands.shared import screen
from infra.operations.running import Verdicts, verdicts_of
from infra.sample import desk
from infra.wiring import Core
from services.client.client import Client, Request
from services.outcome import Outcome
from services.testing.artifacts import RunHistory
from services.testing.reactions import TRIAL
from services.testing.set_runs import StartSetRun
from services.testing.unit_test_sets import CreateUnitTestSet
from services.work.reporting import catch_up


SPACE: Final = UUID("0d0c5b0e-6f0f-5a1d-8a5e-6b5d7f1f4c22")
SEED: Final = 7
PAGE: Final = 1000

TAKEN_OVER: Final = """
SELECT count(*)
  FROM es.work
 WHERE kind = $1
   AND position > $2
   AND attempt > 1
"""


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run in which a worker was killed, beside one without."""

    run_id: SetRunId
    position: int
    trials: int
    passed: int
    failed: int
    killed: int
    killed_at: int
    taken_over: int
    each_ended_once: bool
    same_verdicts: bool


async def hold_twice(
    client: Client, parts: Core, pids: Mapping[str, int]
) -> Interrupted:
    """Hold the parcel desk's set twice, and kill the first worker in the second run."""
    commands = desk()
    requests = [
        Request(command=command, command_id=derived_id(SPACE, str(place)))
        for place, command in enumerate(commands)
    ]
    for verdict in await client.send_many(requests):
        if not isinstance(verdict, Outcome):
            raise verdict
    (set_id,) = (
        command.set_id for command in commands if isinstance(command, CreateUnitTestSet)
    )
    quiet = await _held(client, parts, set_id, title="left alone")
    killed: list[tuple[int, int]] = []

    def kill(done: int) -> None:
        name = min(name for name in pids if name.startswith("work"))
        os.kill(pids[name], signal.SIGKILL)
        killed.append((pids[name], done))

    start = (await parts.log.head()).position
    loud = await _held(client, parts, set_id, title="a worker dies", kill=kill)
    ((pid, done),) = killed
    finishes = await _finishes(parts.log, loud.run_id, start)
    found = Interrupted(
        run_id=loud.run_id,
        position=loud.position,
        trials=loud.trials,
        passed=loud.passed,
        failed=loud.failed,
        killed=pid,
        killed_at=done,
        taken_over=await parts.pool.fetchval(TAKEN_OVER, TRIAL, start),
        each_ended_once=set(finishes.values()) == {1} and len(finishes) == loud.trials,
        same_verdicts=loud.verdicts == quiet.verdicts,
    )
    _tell(found)
    return found


async def _held(
    client: Client,
    parts: Core,
    set_id: UnitTestSetId,
    *,
    title: str,
    kill: Callable[[int], None] | None = None,
) -> Verdicts:
    """Start a run over HTTP, follow it to its end, and return its verdicts."""
    began = time.monotonic()
    run_id = SetRunId(new_id())
    start = StartSetRun(run_id=run_id, set_id=set_id, origin="live", seed=SEED)
    outcome = await client.send(start)
    with progress_bar() as bar:
        task = bar.add_task(title, total=None)
        async for now in client.progress(run_id, min_position=outcome.position):
            bar.update(task, completed=now.done, total=now.trials)
            if kill is not None and now.trials and now.done >= now.trials // 4:
                kill(now.done)
                kill = None
    history = RunHistory()
    await catch_up(history, parts.log, run_id)
    head = await parts.log.head()
    found = verdicts_of(history.report(), head.position)
    screen.print(
        f"  {title}: {found.trials} trials in {time.monotonic() - began:.1f} s,"
        f" {found.passed} passed, {found.failed} failed, {found.errored} errored",
        highlight=False,
    )
    return found


async def _finishes(log: EventLog, run_id: SetRunId, after: int) -> Counter[TrialId]:
    """Return how often each trial of a run was finished, by the log."""
    found: Counter[TrialId] = Counter()
    while page := await log.read(after, PAGE):
        for recorded in page:
            event = recorded.event
            if isinstance(event, TrialFinished) and event.run_id == run_id:
                found[event.trial_id] += 1
        after = page[-1].position
    return found


def _tell(found: Interrupted) -> None:
    for line in (
        f"worker {found.killed} was killed (SIGKILL) after {found.killed_at} trials",
        f"trials that it left and others took over: {found.taken_over}",
        f"every trial ended exactly once: {'yes' if found.each_ended_once else 'NO'}",
        f"the same verdicts as before: {'yes' if found.same_verdicts else 'NO'}",
    ):
        screen.print(f"    {line}", highlight=False)
