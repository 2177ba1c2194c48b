"""Imports of tau2's tasks: a file and a policy, their commands, one summary.

The file and the policy are checked before anything is asked for, and every command has
an id that its body gives, so that a second import changes nothing.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from events.errors import Malformed, TooLarge
from events.log import Blobs
from events.message import Meta
from infra.operations.importing import (
    MAX_FILE,
    Progress,
    check_agent,
    handled,
    read,
)
from services.decoding import decode_json
from services.handling import Handler
from services.outcome import Outcome
from services.testing.tau2 import Plan, Policy, plan
from services.testing.tau2_records import Task


MAX_POLICY: Final = 1 << 20


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, and what of the file it left.

    `commands` were asked for and `new_events` came of them, none where all was known.
    `position` is that of the last event of the import. `assertions` and
    `communications` count the criteria of the unit tests. `not_imported` counts what
    rules cannot judge or set up: for `reward_basis.<name>`, `initial_state` and
    `ticket` the tasks, else the items. `left_out` are the tasks with no other check.
    """

    result: str
    set_id: UUID
    agent_id: UUID
    agent: str
    sha256: str
    policy_sha256: str | None
    tasks: int
    personas: int
    metrics: int
    assertions: int
    communications: int
    not_imported: dict[str, int]
    left_out: list[str]
    commands: int
    new_events: int
    position: int

    def lines(self) -> Iterator[str]:
        """Yield the summary as lines for people."""
        yield f"{self.result}: {self.agent}"
        yield (
            f"{self.tasks} tasks, {self.personas} personas, {self.metrics} metrics, "
            f"{self.new_events} new events"
        )
        yield (
            f"checks: {self.assertions} assertions, "
            f"{self.communications} facts to communicate"
        )
        if self.not_imported:
            counts = ", ".join(
                f"{name} ({count})" for name, count in self.not_imported.items()
            )
            yield f"not imported: {counts}"
        if self.left_out:
            yield f"left out, without another check: {', '.join(self.left_out)}"
        if self.policy_sha256 is None:
            yield f"agent {self.agent_id} cannot run before it has a policy"
        yield f"set {self.set_id}"


async def import_tau2(
    source: Path | bytes,
    *,
    handler: Handler,
    blobs: Blobs,
    meta: Meta,
    policy: Path | bytes | None = None,
    agent: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Import a file of tau2's tasks, or its bytes, as a set of unit tests.

    The agent under test goes by the text of `policy`. `meta` says who imports; its
    command id is not used. `agent` names the agent. `progress` gets the commands done
    and their total. Raises `Malformed` with the path `$[record]...` of what is wrong in
    the file, before anything is stored.
    """
    content = await asyncio.to_thread(read, source)
    rules = None if policy is None else await asyncio.to_thread(policy_of, policy)
    asked = await asyncio.to_thread(planned, content, meta.org_id, rules, agent)
    if rules is not None:
        await blobs.put(rules.text.encode(), media_type="text/markdown")
    outcomes = await handled(
        asked.commands, handler=handler, meta=meta, progress=progress
    )
    return summary(asked, hashlib.sha256(content).hexdigest(), rules, outcomes)


def policy_of(source: Path | bytes) -> Policy:
    """Return a policy's text, or raise `Missing`, `TooLarge` or `Malformed`."""
    content = read(source)
    name = "The policy" if isinstance(source, bytes) else f"The policy {source}"
    if len(content) > MAX_POLICY:
        message = f"{name} has {len(content)} bytes; the limit is {MAX_POLICY}."
        raise TooLarge(message)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        message = f"{name} is no text in UTF-8: {error.reason}, byte {error.start}."
        raise Malformed(message) from error
    if not text.strip() or "\0" in text:
        message = f"{name} is empty." if not text.strip() else f"{name} holds a NUL."
        raise Malformed(message)
    return Policy(text=text, sha256=hashlib.sha256(content).hexdigest())


def planned(
    content: bytes, org_id: str, policy: Policy | None, agent: str | None
) -> Plan:
    """Return what a file asks for, once all of it is checked."""
    check_agent(agent)
    tasks = decode_json(content, list[Task], limit=MAX_FILE)
    return plan(tasks, org_id=org_id, policy=policy, agent=agent)


def summary(
    asked: Plan, sha256: str, policy: Policy | None, outcomes: Sequence[Outcome]
) -> Summary:
    """Return what became of a plan."""
    new_events = sum(each.events for each in outcomes if each.status == "ok")
    return Summary(
        result="imported" if new_events else "nothing new",
        set_id=asked.set_id,
        agent_id=asked.agent_id,
        agent=asked.agent,
        sha256=sha256,
        policy_sha256=policy.sha256 if policy else None,
        tasks=asked.tasks,
        personas=asked.personas,
        metrics=asked.metrics,
        assertions=asked.assertions,
        communications=asked.communications,
        not_imported=asked.not_imported,
        left_out=asked.left_out,
        commands=len(outcomes),
        new_events=new_events,
        position=max(each.position for each in outcomes),
    )
