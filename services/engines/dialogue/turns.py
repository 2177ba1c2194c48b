"""Who speaks when, what counts, and why a conversation ends.

The user opens where its initial message is `user_message`. Where it is
`external_event` the event stands first, as a `system` entry, and where it is `skip`
nothing does; in both cases the agent speaks first. From then on user and agent take
turns. The agent's turn lasts until it says something: it may call tools before, each
of which has to answer first; what it says along with a call does not end its turn.

An interaction is one message of the user and the agent's answer to it; a greeting
before the user's first message is none. So `max_interactions` of n lets the user speak
at most n times, and the agent answers the last one. A user's parting words count as its
message and need no answer. At most `MAX_CALLS` tool calls belong to one turn.

The first reason that holds ends a conversation: the agent ended it, the user
transferred or stopped, the interactions are used up.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from events.conversation import (
    ConversationEnded,
    ConversationFact,
    MessageAdded,
    Role,
    ToolCalled,
    ToolReturned,
)


ENGINE: Final = "rules/1"
MAX_CALLS: Final = 20

Opens = Literal["user_message", "external_event", "skip"]
Reason = Literal[
    "goal_met",
    "refused",
    "patience_exhausted",
    "transferred",
    "agent_ended",
    "max_interactions",
    "too_many_calls",
    "simulator_fault",
]
Awaited = Literal["user", "agent", "tool"]


class Called(msgspec.Struct, frozen=True):
    """A tool call of the agent; `arguments` is the text that it sent."""

    call_id: str
    name: str
    arguments: str


class Returned(msgspec.Struct, frozen=True):
    """What a tool answered a call with."""

    call_id: str
    name: str
    content: str


class Turn(msgspec.Struct, frozen=True):
    """An entry of a conversation: something said, a tool call or a tool's answer."""

    seq: int
    role: Role | Literal["tool"]
    text: str = ""
    called: Called | None = None
    returned: Returned | None = None


def transcript_of(conversation: Sequence[ConversationFact]) -> tuple[Turn, ...]:
    """Return the entries of a conversation, in their order."""
    return tuple(turn for fact in conversation if (turn := turn_of(fact)) is not None)


def turn_of(fact: ConversationFact) -> Turn | None:
    """Return the entry that a fact adds, None for the end."""
    match fact:
        case MessageAdded(seq=seq, role=role, text=text):
            return Turn(seq, role, text)
        case ToolCalled(seq=seq, text=text):
            called = Called(fact.call_id, fact.name, fact.arguments)
            return Turn(seq, "assistant", text or "", called=called)
        case ToolReturned(seq=seq, content=content):
            returned = Returned(fact.call_id, fact.name, content)
            return Turn(seq, "tool", returned=returned)
        case ConversationEnded():
            return None


def interactions(transcript: Sequence[Turn]) -> int:
    """Return how many messages of the user a conversation has."""
    return sum(turn.role == "user" for turn in transcript)


def awaited(
    transcript: Sequence[Turn], opens: Opens, max_interactions: int
) -> Awaited | Reason:
    """Return who has to act next, or the limit that ends the conversation."""
    spoken = [turn for turn in transcript if turn.role != "system"]
    if not spoken:
        return "user" if opens == "user_message" else "agent"
    last = spoken[-1]
    if last.called is not None:
        return "tool"
    if last.role == "tool":
        return "too_many_calls" if calls_of_turn(spoken) >= MAX_CALLS else "agent"
    if last.role == "user":
        return "agent"
    if interactions(transcript) >= max_interactions:
        return "max_interactions"
    return "user"


def calls_of_turn(transcript: Sequence[Turn]) -> int:
    """Return how many tools the agent called since somebody last said something."""
    calls = 0
    for turn in reversed(transcript):
        if turn.called is not None:
            calls += 1
        elif turn.role != "tool":
            break
    return calls


def cues(transcript: Sequence[Turn]) -> list[str]:
    """Return what the agent said before each message of the user, and after the last.

    A system entry before the first message belongs to what the user reacts to.
    """
    heard: list[list[str]] = [[]]
    for turn in transcript:
        if turn.role == "user":
            heard.append([])
        elif turn.role == "assistant" and turn.text.strip():
            heard[-1].append(turn.text.strip())
    return ["\n".join(texts) for texts in heard]
