"""Imports of what was recorded elsewhere: a file, its commands, one summary.

The whole file is checked before anything is asked for, and every command has an id
that its body gives, so an import that broke off is finished by importing again, and a
second import changes nothing.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.catalogue import tag
from events.errors import Failure, Malformed, Missing, Refused, TooLarge
from events.log import Blobs
from events.message import Command, Meta
from services.decoding import decode_json
from services.handling import BULK_COMMANDS, Handler
from services.outcome import Outcome
from services.testing.common import Name
from services.testing.reliability import Estimate
from services.testing.tau_bench import Plan, plan
from services.testing.tau_bench_records import Record


MAX_FILE: Final = 256 * 1024 * 1024

Progress = Callable[[int, int], None]


class NotImported(Refused):
    """A command of the import was refused."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, and what the file says of the agent.

    `commands` were asked for and `new_events` came of them, none where all was known.
    `position` is that of the last event of the import. `pass_hat_k` and `pass_at_k`
    have an estimate for each k from 1 to the number of trials.
    """

    result: str
    run_id: UUID
    set_id: UUID
    agent: str
    sha256: str
    personas: int
    tasks: int
    trials: int
    entries: int
    commands: int
    new_events: int
    position: int
    pass_rate: Estimate
    pass_hat_k: dict[str, Estimate]
    pass_at_k: dict[str, Estimate]

    def lines(self) -> Iterator[str]:
        """Yield the summary as lines for people."""
        yield f"{self.result}: {self.agent}"
        yield (
            f"{self.tasks} tasks, {self.personas} personas, {self.trials} trials, "
            f"{self.entries} entries, {self.new_events} new events"
        )
        yield f"run {self.run_id} of set {self.set_id}"
        for sign, estimates in (("^", self.pass_hat_k), ("@", self.pass_at_k)):
            for k, estimate in estimates.items():
                yield f"pass{sign}{k} = {worded(estimate)}"


def worded(estimate: Estimate) -> str:
    """Return an estimate as people read it: `0.420 (95 %: 0.315 to 0.525, ...)`."""
    if estimate.value is None:
        return "unknown"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3f}"
    return (
        f"{estimate.value:.3f} ({estimate.confidence:.0%}: {estimate.low:.3f} to "
        f"{estimate.high:.3f}, {estimate.method}, {estimate.tasks} tasks)"
    )


async def import_tau_bench(
    source: Path | bytes,
    *,
    handler: Handler,
    blobs: Blobs,
    meta: Meta,
    agent: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Import a file of tau-bench trajectories, or its bytes, as one set run.

    `meta` says who imports; its command id is not used. `agent` names the agent under
    test. `progress` gets the commands done and their total. Raises `Malformed` with
    the path `$[record]...` of what is wrong in the file, before anything is stored.
    """
    content = await asyncio.to_thread(read, source)
    sha256 = hashlib.sha256(content).hexdigest()
    asked = await asyncio.to_thread(planned, content, sha256, meta.org_id, agent)
    await blobs.put(asked.results, media_type="application/json")
    outcomes = await handled(
        asked.commands, handler=handler, meta=meta, progress=progress
    )
    return summary(asked, sha256, outcomes)


async def handled(
    commands: Sequence[tuple[UUID, Command]],
    *,
    handler: Handler,
    meta: Meta,
    progress: Progress | None,
) -> list[Outcome]:
    """Return the outcomes of commands with their ids, or raise why one was refused."""
    requests: list[tuple[Command, Meta]] = [
        (command, replace(meta, command_id=command_id))
        for command_id, command in commands
    ]
    outcomes: list[Outcome] = []
    for start in range(0, len(requests), BULK_COMMANDS):
        chunk = requests[start : start + BULK_COMMANDS]
        outcomes += accepted(chunk, await handler.handle_bulk(chunk))
        if progress is not None:
            progress(len(outcomes), len(requests))
    return outcomes


def read(source: Path | bytes) -> bytes:
    """Return a file's content, or raise `Missing` or `TooLarge`."""
    if isinstance(source, bytes):
        return source
    try:
        size = source.stat().st_size
        if size > MAX_FILE:
            message = f"{source} has {size} bytes; the limit is {MAX_FILE}."
            raise TooLarge(message)
        return source.read_bytes()
    except OSError as error:
        message = f"Cannot read {source}: {error.strerror}."
        raise Missing(message) from error


def planned(content: bytes, sha256: str, org_id: str, agent: str | None) -> Plan:
    """Return what a file asks for, once all of it is checked."""
    check_agent(agent)
    records = decode_json(content, list[Record], limit=MAX_FILE)
    return plan(records, org_id=org_id, sha256=sha256, agent=agent)


def check_agent(name: str | None) -> None:
    """Raise `Malformed` for a name that an agent cannot have."""
    if name is None:
        return
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        message = f"The agent's name: {error}."
        raise Malformed(message) from error
    if name.isspace():
        raise Malformed("The agent's name is blank.")


def accepted(
    requests: Sequence[tuple[Command, Meta]], answers: Sequence[Outcome | Failure]
) -> list[Outcome]:
    """Return the outcomes of commands that were all accepted, or raise why not."""
    outcomes: list[Outcome] = []
    for (command, _), answer in zip(requests, answers, strict=True):
        if isinstance(answer, Outcome):
            outcomes.append(answer)
        elif isinstance(answer, Refused | Missing):
            message = f"{tag(type(command))} was refused: {answer}"
            raise NotImported(message, path=answer.path) from answer
        else:
            raise answer
    return outcomes


def summary(asked: Plan, sha256: str, outcomes: Sequence[Outcome]) -> Summary:
    """Return what became of a plan."""
    new_events = sum(each.events for each in outcomes if each.status == "ok")
    return Summary(
        result="imported" if new_events else "nothing new",
        run_id=asked.run_id,
        set_id=asked.set_id,
        agent=asked.agent,
        sha256=sha256,
        personas=asked.personas,
        tasks=asked.tasks,
        trials=asked.trials,
        entries=asked.entries,
        commands=len(outcomes),
        new_events=new_events,
        position=max(each.position for each in outcomes),
        pass_rate=asked.rate,
        pass_hat_k=numbered(asked.pass_hat),
        pass_at_k=numbered(asked.pass_at),
    )


def numbered(estimates: Sequence[Estimate]) -> dict[str, Estimate]:
    """Return estimates by k, from 1."""
    return {str(k): estimate for k, estimate in enumerate(estimates, start=1)}
