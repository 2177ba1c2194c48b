"""A playground as its rules see it, folded from its facts."""

from collections.abc import Mapping
from typing import Final, Literal, assert_never

import msgspec
from msgspec.structs import replace

from events.playgrounds.playgrounds import (
    AccessOpened,
    AccessRestricted,
    ModelAdded,
    ModelChanged,
    ModelRemoved,
    PlaygroundActivated,
    PlaygroundArchived,
    PlaygroundChanged,
    PlaygroundCreated,
    PlaygroundDeactivated,
    PlaygroundDeleted,
    PlaygroundEvent,
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    QuestionsReordered,
    TesterListed,
    TesterUnlisted,
)
from services.playgrounds import questions
from services.playgrounds.questions import Questions


Status = Literal["active", "inactive", "archived", "deleted"]


class Playground(msgspec.Struct, frozen=True):
    """A playground as its rules see it.

    `creation` is what it was created with, in full. `testers` are the listed e-mail
    addresses by number, `listed` is the last number that was given.
    """

    created: PlaygroundCreated | None = None
    creation: tuple[PlaygroundEvent, ...] = ()
    current: PlaygroundChanged | None = None
    models: Mapping[str, ModelChanged] = msgspec.field(default_factory=dict)
    questions: Questions = Questions()
    restricted: bool = False
    testers: Mapping[int, str] = msgspec.field(default_factory=dict)
    listed: int = 0
    status: Status = "inactive"


STATUS: Final[Mapping[type[PlaygroundEvent], Status]] = {
    PlaygroundActivated: "active",
    PlaygroundDeactivated: "inactive",
    PlaygroundArchived: "archived",
    PlaygroundDeleted: "deleted",
}


def evolve(state: Playground, event: PlaygroundEvent) -> Playground:
    """Return the state after an event."""
    after = changed(state, event)
    created = after.created
    if created is None or len(state.creation) > created.parts:
        return after
    return replace(after, creation=(*state.creation, event))


def changed(  # noqa: PLR0911 - one return for each kind of event
    state: Playground, event: PlaygroundEvent
) -> Playground:
    """Return the state with what an event changes."""
    match event:
        case PlaygroundCreated(is_active=is_active):
            return replace(
                state,
                created=event,
                current=description_of(event),
                status="active" if is_active else "inactive",
            )
        case PlaygroundChanged():
            return replace(state, current=event)
        case ModelAdded(model_key=key):
            added = msgspec.convert(event, ModelChanged, from_attributes=True)
            return replace(state, models={**state.models, key: added})
        case ModelChanged(model_key=key):
            return replace(state, models={**state.models, key: event})
        case ModelRemoved(model_key=removed):
            kept = {key: each for key, each in state.models.items() if key != removed}
            return replace(state, models=kept)
        case (
            QuestionAdded()
            | QuestionChanged()
            | QuestionRemoved()
            | QuestionsReordered()
        ):
            return replace(state, questions=questions.evolve(state.questions, event))
        case AccessRestricted() | AccessOpened() | TesterListed() | TesterUnlisted():
            return relisted(state, event)
        case (
            PlaygroundActivated()
            | PlaygroundDeactivated()
            | PlaygroundArchived()
            | PlaygroundDeleted()
        ):
            return replace(state, status=STATUS[type(event)])
        case _:
            assert_never(event)


def description_of(event: PlaygroundCreated) -> PlaygroundChanged:
    """Return how a playground was described when it was created."""
    return msgspec.convert(event, PlaygroundChanged, from_attributes=True)


def relisted(
    state: Playground,
    event: AccessRestricted | AccessOpened | TesterListed | TesterUnlisted,
) -> Playground:
    """Return the state with another access list."""
    match event:
        case AccessRestricted():
            return replace(state, restricted=True)
        case AccessOpened():
            return replace(state, restricted=False, testers={})
        case TesterListed(number=number, email=email):
            testers = {**state.testers, number: email}
            return replace(state, testers=testers, listed=number)
        case TesterUnlisted(number=gone):
            kept = {key: email for key, email in state.testers.items() if key != gone}
            return replace(state, testers=kept)
        case _:
            assert_never(event)
