"""The kinds of jobs that workers of this system run, and the tools that they get."""

from dataclasses import dataclass
from datetime import timedelta

from events.log import Blobs, EventLog
from services.access.reactions import END_SESSIONS, LIST_ADDRESS
from services.experiments.reactions import ROWS, SIMULATE
from services.handling import Handler
from services.playgrounds.reactions import EXPIRE
from services.ports import Clock, Lease
from services.testing.reactions import PIN, REPORT, TRIAL
from services.work.addresses import KeepAddress, Key
from services.work.cases import Cases
from services.work.expiring import ReleaseExpired
from services.work.pinning import PinRun
from services.work.populations import Populations
from services.work.reporting import ReportRun
from services.work.sessions import EndSessions, SessionStore
from services.work.simulating import Runs, Simulate, SimulateRows
from services.work.trials import HoldTrial
from services.work.working import TTL, Kind


TRIALS_AT_A_TIME = 16
EXPIRIES_AT_A_TIME = 4


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the jobs of a process share; `handler` lets the system's own actors in."""

    pin: PinRun
    hold: HoldTrial
    report: ReportRun
    release: ReleaseExpired
    end_sessions: EndSessions
    keep_address: KeepAddress
    simulate: Simulate
    simulate_rows: SimulateRows


def tools(
    *,
    log: EventLog,
    blobs: Blobs,
    handler: Handler,
    sessions: SessionStore,
    key: Key,
    clock: Clock,
    populations: Populations,
) -> Tools:
    """Return the tools of a process; `key` makes of an address what stands for it."""
    runs = Runs(log=log, blobs=blobs, populations=populations)
    handle = handler.handle
    cases = Cases(log=log, blobs=blobs)
    return Tools(
        pin=PinRun(handler=handler, clock=clock),
        hold=HoldTrial(log=log, cases=cases, handle=handle, clock=clock),
        report=ReportRun(log=log, blobs=blobs, handle=handle, clock=clock),
        release=ReleaseExpired(handle=handle, clock=clock),
        end_sessions=EndSessions(sessions),
        keep_address=KeepAddress(log=log, handle=handle, key=key, clock=clock),
        simulate=Simulate(runs, handle=handle, clock=clock),
        simulate_rows=SimulateRows(runs, handle=handle, clock=clock),
    )


async def pin(lease: Lease, tools: Tools) -> None:
    """Pin a run."""
    await tools.pin(lease)


async def hold(lease: Lease, tools: Tools) -> None:
    """Hold a trial."""
    await tools.hold(lease)


async def report(lease: Lease, tools: Tools) -> None:
    """Write a run's reports."""
    await tools.report(lease)


async def release(lease: Lease, tools: Tools) -> None:
    """Release a reserved place."""
    await tools.release(lease)


async def end_sessions(lease: Lease, tools: Tools) -> None:
    """End a user's sessions."""
    await tools.end_sessions(lease)


async def keep_address(lease: Lease, tools: Tools) -> None:
    """Keep in mind where an address is written."""
    await tools.keep_address(lease)


async def simulate(lease: Lease, tools: Tools) -> None:
    """Make a run of a population."""
    await tools.simulate(lease)


async def simulate_rows(lease: Lease, tools: Tools) -> None:
    """Make steps of a run again for their rows."""
    await tools.simulate_rows(lease)


def kinds(*, trials: int = TRIALS_AT_A_TIME, ttl: timedelta = TTL) -> list[Kind[Tools]]:
    """Return every kind of job, each leased for `ttl`.

    A process holds so many trials at a time.
    """
    return [
        Kind(name=PIN, run=pin, ttl=ttl),
        Kind(name=TRIAL, run=hold, slots=trials, ttl=ttl),
        Kind(name=REPORT, run=report, ttl=ttl),
        Kind(name=EXPIRE, run=release, slots=EXPIRIES_AT_A_TIME, ttl=ttl),
        Kind(name=END_SESSIONS, run=end_sessions, ttl=ttl),
        Kind(name=LIST_ADDRESS, run=keep_address, ttl=ttl),
        Kind(name=SIMULATE, run=simulate, ttl=ttl),
        Kind(name=ROWS, run=simulate_rows, slots=1, ttl=ttl),
    ]
