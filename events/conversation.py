"""The one vocabulary of every conversation, written into the stream that owns it."""

from typing import ClassVar, Literal
from uuid import UUID

from events.ids import SubjectId
from events.message import Event


Role = Literal["system", "user", "assistant"]


class ConversationEvent(
    Event, frozen=True, kw_only=True, tag=lambda name: f"conversation.{name}"
):
    """A fact of a conversation; `seq` counts its entries from 1 without gaps."""

    conversation_id: UUID


class MessageAdded(ConversationEvent, frozen=True, kw_only=True):
    """Somebody said something.

    `engine` labels who made the text: `recorded`, `rules/<n>`, a model's name.
    """

    personal: ClassVar[tuple[str, ...]] = ("text", "speaker")

    seq: int
    role: Role
    text: str
    speaker: str | None = None
    engine: str = "recorded"
    subject_id: SubjectId | None = None


class ToolCalled(ConversationEvent, frozen=True, kw_only=True):
    """The agent called a tool, perhaps saying something with it.

    `arguments` is the text that the agent sent, JSON or not.
    """

    personal: ClassVar[tuple[str, ...]] = ("text", "arguments")

    seq: int
    call_id: str
    name: str
    arguments: str
    text: str | None = None
    engine: str = "recorded"
    subject_id: SubjectId | None = None


class ToolReturned(ConversationEvent, frozen=True, kw_only=True):
    """A tool answered a call."""

    personal: ClassVar[tuple[str, ...]] = ("content",)

    seq: int
    call_id: str
    name: str
    content: str
    engine: str = "recorded"
    subject_id: SubjectId | None = None


class ConversationEnded(ConversationEvent, frozen=True, kw_only=True):
    """The conversation is over; nothing may be added to it."""

    reason: str
    entries: int


ConversationFact = MessageAdded | ToolCalled | ToolReturned | ConversationEnded
