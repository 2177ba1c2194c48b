"""Agents under test as a trial asks them, by the kind of their connection."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from events.errors import Missing
from events.log import Blobs
from events.testing.agents import Connection
from services.engines.dialogue.agent import reply
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.policy import Policy
from services.engines.dialogue.turns import Turn
from services.testing.agents import POLICY, POLICY_BLOB, obstacle


class TargetFaultError(Exception):
    """The agent under test could not be asked."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says, and whether it ends the conversation with it."""

    text: str
    engine: str
    ends: bool = False


class AgentUnderTest(Protocol):
    """Takes the agent's part in a conversation."""

    async def answer(self, transcript: Sequence[Turn], draw: Draw) -> Answer:
        """Return what the agent says next, or raise `TargetFaultError`."""
        ...


class RulesAgent:
    """An agent that goes by a policy text alone, in this process; it has no tools."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def answer(self, transcript: Sequence[Turn], draw: Draw) -> Answer:
        """Return what the policy's rules say next."""
        move = reply(self._policy, transcript, draw)
        if move.text is None:
            message = f"The rule {move.rule!r} said nothing."
            raise TargetFaultError(message)
        return Answer(text=move.text, engine=move.engine, ends=move.end)


async def connect(connection: Connection, blobs: Blobs) -> AgentUnderTest:
    """Return the agent behind a connection, or raise `TargetFaultError`."""
    reason = obstacle(connection)
    if reason is not None:
        raise TargetFaultError(reason)
    settings = connection.settings
    text = settings.get(POLICY)
    if text is None:
        text = await policy_of(settings[POLICY_BLOB], blobs)
    return RulesAgent(Policy(text=text, language=settings.get("language", "en")))


async def policy_of(sha256: str, blobs: Blobs) -> str:
    """Return the policy text that is kept among the blobs."""
    try:
        return (await blobs.get(sha256)).decode()
    except (Missing, UnicodeDecodeError) as error:
        message = f"The policy {sha256} is no text that is kept here."
        raise TargetFaultError(message) from error
