"""Facts about playgrounds: which models are judged, by whom, and what is asked."""

from typing import ClassVar, Literal

import msgspec

from events.ids import PlaygroundId, QuestionId, SubjectId
from events.playgrounds.common import PlaygroundsEvent


PlaygroundKind = Literal["ab_testing", "tuning"]
QuestionKind = Literal["select", "input_string", "rating", "boolean", "pairwise"]
Provider = Literal["elevenlabs", "iframe"]


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """What can be chosen: `label` is shown, `value` is stored."""

    label: str
    value: str


class PlaygroundCreated(PlaygroundsEvent, frozen=True, kw_only=True):
    """A playground exists; its models and questions follow.

    `owner` is the id of whom it belongs to, without its kind. A tester evaluates a
    model at most `repetitions` times, None: as often as there are places. A reserved
    place is held for `hold_seconds`. `seed` decides ties between models. It was created
    with the `parts` facts that follow.
    """

    playground_id: PlaygroundId
    name: str
    kind: PlaygroundKind
    description: str
    support_text: str
    owner: str
    is_active: bool
    repetitions: int | None
    hold_seconds: int
    seed: int
    parts: int
    external_id: str | None = None


class PlaygroundChanged(PlaygroundsEvent, frozen=True, kw_only=True):
    """A playground is now described so."""

    playground_id: PlaygroundId
    name: str
    description: str
    support_text: str
    repetitions: int | None
    hold_seconds: int


class ModelAdded(PlaygroundsEvent, frozen=True, kw_only=True):
    """A model can be evaluated, at most `max_evaluations` times.

    It is reached as the `agent_id` of a provider; of `iframe` that is an address.
    """

    playground_id: PlaygroundId
    owner: str
    model_key: str
    model_name: str
    provider: Provider
    agent_id: str
    max_evaluations: int


class ModelChanged(PlaygroundsEvent, frozen=True, kw_only=True):
    """A model is now this."""

    playground_id: PlaygroundId
    model_key: str
    model_name: str
    provider: Provider
    agent_id: str
    max_evaluations: int


class ModelRemoved(PlaygroundsEvent, frozen=True, kw_only=True):
    """A model that nobody was shown is no longer part of the playground."""

    playground_id: PlaygroundId
    model_key: str


class QuestionAdded(PlaygroundsEvent, frozen=True, kw_only=True):
    """A question is asked, of one model or of every one.

    `revision` counts what happened to the playground's questions, from 1; an evaluation
    is held to the questions of one revision.
    """

    playground_id: PlaygroundId
    owner: str
    question_id: QuestionId
    revision: int
    model_key: str | None
    text: str
    kind: QuestionKind
    options: list[Option]
    order_index: int
    required: bool
    external_id: str | None = None


class QuestionChanged(PlaygroundsEvent, frozen=True, kw_only=True):
    """A question is now asked so; earlier evaluations keep what they were asked."""

    playground_id: PlaygroundId
    question_id: QuestionId
    revision: int
    model_key: str | None
    text: str
    kind: QuestionKind
    options: list[Option]
    required: bool


class QuestionRemoved(PlaygroundsEvent, frozen=True, kw_only=True):
    """A question is not asked any more; its answers stay."""

    playground_id: PlaygroundId
    question_id: QuestionId
    revision: int


class QuestionsReordered(PlaygroundsEvent, frozen=True, kw_only=True):
    """The questions are asked in this order, with `order_index` from 0."""

    playground_id: PlaygroundId
    question_ids: list[QuestionId]
    revision: int


class AccessRestricted(PlaygroundsEvent, frozen=True, kw_only=True):
    """Only listed testers may evaluate from now on."""

    playground_id: PlaygroundId


class AccessOpened(PlaygroundsEvent, frozen=True, kw_only=True):
    """Everyone who is signed in may evaluate; these are not on the list any more."""

    playground_id: PlaygroundId
    numbers: list[int]


class TesterListed(PlaygroundsEvent, frozen=True, kw_only=True):
    """A tester's e-mail address, case folded, is on the list as this number."""

    personal: ClassVar[tuple[str, ...]] = ("email",)

    playground_id: PlaygroundId
    owner: str
    number: int
    email: str
    subject_id: SubjectId


class TesterUnlisted(PlaygroundsEvent, frozen=True, kw_only=True):
    """The tester of a number is not on the list any more."""

    playground_id: PlaygroundId
    number: int


class PlaygroundActivated(PlaygroundsEvent, frozen=True, kw_only=True):
    """Testers may evaluate."""

    playground_id: PlaygroundId


class PlaygroundDeactivated(PlaygroundsEvent, frozen=True, kw_only=True):
    """No further evaluation begins, until the playground is activated again."""

    playground_id: PlaygroundId


class PlaygroundArchived(PlaygroundsEvent, frozen=True, kw_only=True):
    """The playground is closed for good; its testers may know the models' names."""

    playground_id: PlaygroundId


class PlaygroundDeleted(PlaygroundsEvent, frozen=True, kw_only=True):
    """A playground in which nobody was shown a model is gone, with what it held."""

    playground_id: PlaygroundId
    model_keys: list[str]
    question_ids: list[QuestionId]
    numbers: list[int]


PlaygroundEvent = (
    PlaygroundCreated
    | PlaygroundChanged
    | ModelAdded
    | ModelChanged
    | ModelRemoved
    | QuestionAdded
    | QuestionChanged
    | QuestionRemoved
    | QuestionsReordered
    | AccessRestricted
    | AccessOpened
    | TesterListed
    | TesterUnlisted
    | PlaygroundActivated
    | PlaygroundDeactivated
    | PlaygroundArchived
    | PlaygroundDeleted
)
