"""The job `trial`: hold one conversation, turn by turn, and finish it with its verdict.

Each turn is in the log before the next is made, under the fence of the job's lease. A
job that is taken over reads what is recorded and goes on after it. What the rules say
follows from the pinned unit test, the run's seed and the conversation so far, so it is
the same on any worker. A fault of the agent's or the simulated user's ends the trial as
errored; a failure of our own ends this attempt of the job, and another follows.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from events.conversation import (
    ConversationEnded,
    MessageAdded,
    Role,
    ToolCalled,
    ToolReturned,
)
from events.log import EventLog
from events.message import Command, Meta
from events.testing.set_runs import Fault
from events.testing.trials import TrialFinished
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.turns import Reason, Turn, awaited, transcript_of
from services.engines.dialogue.user import SimulatorFault, next_user_turn
from services.outcome import Outcome
from services.ports import Clock, Lease
from services.testing import evaluation, trials
from services.testing.reactions import TrialBody
from services.testing.trials import AddTurn, FinishTrial, Said
from services.work.agents import TargetFaultError
from services.work.cases import Case, Cases
from services.work.results import result_meta


Handle = Callable[[Command, Meta], Awaitable[Outcome]]

MAX_ERROR: Final = 4_096


class Ended(Exception):  # noqa: N818 - the field says that a conversation ended
    """The conversation is over, and perhaps somebody is at fault."""

    def __init__(
        self, reason: str, *, error: str | None = None, fault: Fault | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error
        self.fault = fault


class Conversation:
    """A trial's conversation as far as the log has it, and how it grows."""

    def __init__(
        self, body: TrialBody, lease: Lease, handle: Handle, clock: Clock
    ) -> None:
        self.body = body
        self.trial_id = body.trial_id
        self.entries: list[Said] = []
        self.ended: str | None = None
        self.finished = False
        self._lease = lease
        self._handle = handle
        self._clock = clock

    async def read(self, log: EventLog) -> None:
        """Read what is recorded."""
        stream = await log.read_stream(f"{trials.decider.category}-{self.trial_id}")
        for recorded in stream.events:
            match recorded.event:
                case MessageAdded() | ToolCalled() | ToolReturned() as said:
                    self.entries.append(said)
                case ConversationEnded(reason=reason):
                    self.ended = reason
                case TrialFinished():
                    self.finished = True
                case _:
                    pass

    async def say(
        self, role: Role, text: str, *, engine: str, ended: Reason | None = None
    ) -> None:
        """Record a message; `ended` is why the conversation ends with it."""
        after = len(self.entries)
        said = MessageAdded(
            conversation_id=self.trial_id,
            seq=after + 1,
            role=role,
            text=text,
            engine=engine,
        )
        turn = AddTurn(
            trial_id=self.trial_id,
            run_id=self.body.run_id,
            unit_test_id=self.body.unit_test_id,
            index=self.body.index,
            attempt=self.body.attempt,
            after=after,
            entries=(said,),
            ended=ended,
        )
        await self._send(turn, f"turn-{after + 1}")
        self.entries.append(said)
        self.ended = ended

    async def finish(self, case: Case, end: Ended) -> None:
        """Record the verdict, or what broke."""
        results = []
        if end.error is None:
            results = [
                evaluation.evaluate(criterion, self.entries, None)
                for criterion in case.spec.success_criterions
            ]
        verdict = FinishTrial(
            trial_id=self.trial_id,
            run_id=self.body.run_id,
            unit_test_id=self.body.unit_test_id,
            index=self.body.index,
            attempt=self.body.attempt,
            results=tuple(results),
            on_limit=case.spec.on_limit,
            ended=end.reason,
            error=end.error and end.error[:MAX_ERROR],
            fault=end.fault,
        )
        await self._send(verdict, "finish")

    async def _send(self, command: Command, name: str) -> None:
        meta = result_meta(self._lease, name, occurred_at=self._clock())
        await self._handle(command, meta)


class HoldTrial:
    """Holds the trials of live runs."""

    def __init__(
        self, *, log: EventLog, cases: Cases, handle: Handle, clock: Clock
    ) -> None:
        self._log = log
        self._cases = cases
        self._handle = handle
        self._clock = clock

    async def __call__(self, lease: Lease) -> None:
        """Hold a trial from where its record ends, and finish it."""
        body = msgspec.convert(lease.job.body, TrialBody)
        case = await self._cases.case(
            body.run_id,
            body.unit_test_id,
            org_id=lease.job.org_id,
            upto=lease.job.position,
        )
        conversation = Conversation(body, lease, self._handle, self._clock)
        await conversation.read(self._log)
        if conversation.finished:
            return
        draw = Draw(case.seed, body.unit_test_id, body.index)
        try:
            while True:
                await take_turn(case, conversation, draw)
        except Ended as end:
            await conversation.finish(case, end)


async def take_turn(case: Case, conversation: Conversation, draw: Draw) -> None:
    """Let the one who is due act, or raise `Ended`."""
    if conversation.ended is not None:
        raise Ended(conversation.ended)
    if case.event is not None and not conversation.entries:
        await conversation.say("system", case.event, engine="scenario")
        return
    transcript = transcript_of(conversation.entries)
    match awaited(transcript, case.opens, case.spec.max_interactions):
        case "user":
            await user_speaks(case, conversation, transcript, draw)
        case "agent":
            await agent_speaks(case, conversation, transcript, draw)
        case "tool":
            message = "The agent called a tool, and nothing here answers it."
            raise broken(TargetFaultError(message))
        case reason:
            raise Ended(reason)


async def user_speaks(
    case: Case, conversation: Conversation, transcript: Sequence[Turn], draw: Draw
) -> None:
    """Let the simulated user speak."""
    move = next_user_turn(case.brief, transcript, draw)
    if isinstance(move, SimulatorFault):
        error = f"The simulated user's message has a flaw: {move.flaw}."
        raise Ended(move.reason, error=error, fault="simulator")
    await conversation.say("user", move.text, engine=move.engine, ended=move.stop)


async def agent_speaks(
    case: Case, conversation: Conversation, transcript: Sequence[Turn], draw: Draw
) -> None:
    """Let the agent under test speak."""
    if isinstance(case.agent, TargetFaultError):
        raise broken(case.agent)
    try:
        answer = await case.agent.answer(transcript, draw)
    except TargetFaultError as fault:
        raise broken(fault) from fault
    ended: Reason | None = "agent_ended" if answer.ends else None
    await conversation.say("assistant", answer.text, engine=answer.engine, ended=ended)


def broken(fault: TargetFaultError) -> Ended:
    """Return the end of a conversation whose agent could not be asked."""
    return Ended("target_fault", error=str(fault), fault="target")
