"""A playground: models that people judge, what they are asked, and who may.

Whatever bears on its places is told to its ledger in the same append, so that a place
is only ever given by terms that hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from hashlib import sha256
from typing import Annotated, Final, assert_never, get_args
from uuid import uuid5

import msgspec
from msgspec import Meta

from events.errors import Forbidden, Missing, Refused
from events.ids import PlaygroundId, QuestionId, SubjectId
from events.message import Command
from events.message import Meta as Envelope
from events.playgrounds import playgrounds as facts
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
    PlaygroundKind,
    QuestionAdded,
    QuestionChanged,
    QuestionRemoved,
    QuestionsReordered,
    TesterListed,
    TesterUnlisted,
)
from services.decider import Decider
from services.playgrounds import markup
from services.playgrounds.asking import (
    AdjustLedger,
    CloseLedger,
    ConfirmAnswers,
    ConfirmOwner,
    ConfirmTester,
    OpenLedger,
    Terms,
)
from services.playgrounds.common import (
    AlreadyExists,
    Count,
    Description,
    ExternalId,
    ModelKey,
    Name,
    PlaygroundsCommand,
    check_owner,
    created_once,
    either,
    still_there,
)
from services.playgrounds.playground_states import Playground, evolve
from services.playgrounds.questions import (
    MAX_QUESTIONS,
    NewQuestion,
    Options,
    Question,
    QuestionText,
    check_answers,
    check_options,
)


MAX_MODELS: Final = 20
MAX_TESTERS: Final = 2_000
HOUR: Final = 3_600
WEEK: Final = 7 * 24 * HOUR

Email = Annotated[
    str,
    Meta(min_length=3, max_length=254, pattern=r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$(?!\n)"),
]
HoldSeconds = Annotated[int, Meta(ge=1, le=WEEK)]
EmbedCode = Annotated[str, Meta(max_length=8_192)]
SupportText = Annotated[str, Meta(max_length=65_536)]
Emails = Annotated[list[Email], Meta(max_length=MAX_TESTERS)]


class NewModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model, by the embed code of its provider, and how often it may be evaluated."""

    model_key: ModelKey
    model_name: Name
    embed_code: EmbedCode
    max_evaluations: Count = 100


class CreatePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Create a playground: `ab_testing` of two or more models, or `tuning` of one.

    Of `support_text` only plain HTML is kept, of embed codes the provider and agent
    that they name. `restricted_emails` null lets everyone evaluate who is signed in.
    A tester evaluates a model at most `repetitions` times: once in an A/B test unless
    given, and without limit in tuning. A reserved place is held for `hold_seconds`.
    `seed` decides ties between models; it is derived from the id unless given.
    """

    playground_id: PlaygroundId
    name: Name
    kind: PlaygroundKind
    models: Annotated[list[NewModel], Meta(min_length=1, max_length=MAX_MODELS)]
    questions: Annotated[list[NewQuestion], Meta(max_length=MAX_QUESTIONS)] = (
        msgspec.field(default_factory=list)
    )
    description: Description = ""
    support_text: SupportText = ""
    restricted_emails: Emails | None = None
    repetitions: Count | None = None
    hold_seconds: HoldSeconds = HOUR
    is_active: bool = True
    seed: Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)] | None = None
    external_id: ExternalId | None = None


class ChangePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Change how a playground is described and run; what is not given stays."""

    playground_id: PlaygroundId
    name: Name | None = None
    description: Description | None = None
    support_text: SupportText | None = None
    repetitions: Count | None = None
    hold_seconds: HoldSeconds | None = None


class ConfigureModel(PlaygroundsCommand, frozen=True, kw_only=True):
    """Add a model, or change one; it keeps at least the places that are taken."""

    playground_id: PlaygroundId
    model_key: ModelKey
    model_name: Name
    embed_code: EmbedCode
    max_evaluations: Count = 100


class RemoveModel(PlaygroundsCommand, frozen=True, kw_only=True):
    """Remove a model that nobody was shown."""

    playground_id: PlaygroundId
    model_key: ModelKey


class AddQuestion(PlaygroundsCommand, frozen=True, kw_only=True):
    """Ask one more question, after the others."""

    playground_id: PlaygroundId
    question_id: QuestionId
    question_text: QuestionText
    question_type: facts.QuestionKind
    options: Options = msgspec.field(default_factory=list)
    model_key: ModelKey | None = None
    required: bool = True


class ChangeQuestion(PlaygroundsCommand, frozen=True, kw_only=True):
    """Ask a question in other words; evaluations under way keep the words they have.

    It keeps its type; the whole question is given.
    """

    playground_id: PlaygroundId
    question_id: QuestionId
    question_text: QuestionText
    options: Options = msgspec.field(default_factory=list)
    model_key: ModelKey | None = None
    required: bool = True


class RemoveQuestion(PlaygroundsCommand, frozen=True, kw_only=True):
    """Ask a question no more; its answers stay."""

    playground_id: PlaygroundId
    question_id: QuestionId


class ReorderQuestions(PlaygroundsCommand, frozen=True, kw_only=True):
    """Ask the questions in this order; all of them are named."""

    playground_id: PlaygroundId
    question_ids: Annotated[list[QuestionId], Meta(max_length=MAX_QUESTIONS)]


class ChangeAccessList(PlaygroundsCommand, frozen=True, kw_only=True):
    """Let only these testers evaluate, or with null everyone who is signed in.

    Addresses are compared without regard to case.
    """

    playground_id: PlaygroundId
    restricted_emails: Emails | None


class ActivatePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Let testers evaluate."""

    playground_id: PlaygroundId


class DeactivatePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Let no further evaluation begin; those under way may be finished."""

    playground_id: PlaygroundId


class ArchivePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Close a playground for good, and let its testers know the models' names."""

    playground_id: PlaygroundId


class DeletePlayground(PlaygroundsCommand, frozen=True, kw_only=True):
    """Delete a playground in which nobody was shown a model."""

    playground_id: PlaygroundId


PlaygroundCommand = (
    CreatePlayground
    | ChangePlayground
    | ConfigureModel
    | RemoveModel
    | AddQuestion
    | ChangeQuestion
    | RemoveQuestion
    | ReorderQuestions
    | ChangeAccessList
    | ActivatePlayground
    | DeactivatePlayground
    | ArchivePlayground
    | DeletePlayground
)
AnyPlaygroundCommand = PlaygroundCommand | ConfirmTester | ConfirmOwner | ConfirmAnswers


class Archived(Refused):
    """The playground is archived."""


class NotListed(Forbidden):
    """This playground is for listed testers."""


class WrongModels(Refused):
    """An A/B playground has two or more models, a tuning one has one."""


class SameModel(Refused):
    """Two models have the same key."""


class NoSuchModel(Refused):
    """The playground has no such model."""


class ModelAskedAbout(Refused):
    """A question is asked of this model."""


class TooMany(Refused):
    """The playground has as many as it can have."""


class NoQuestions(Refused):
    """An active playground asks at least one question."""


class NobodyListed(Refused):
    """An access list names somebody; null is for everyone who is signed in."""


class SameQuestion(Refused):
    """Two questions have the same id."""


class WrongOrder(Refused):
    """The order names each question once."""


def decide(
    command: AnyPlaygroundCommand, state: Playground, meta: Envelope
) -> list[PlaygroundEvent]:
    """Return what happens: a playground is set up, opened, closed; or refuse."""
    if isinstance(command, CreatePlayground):
        return create(command, state, meta)
    gone = state.status == "deleted"
    if isinstance(command, DeletePlayground) and gone:
        return []
    created = still_there(state.created, gone=gone, path="$.playground_id")
    match command:
        case ConfirmTester():
            confirm_tester(state, created, meta)
            return []
        case ConfirmAnswers():
            check_answers(command, state.questions)
            return []
        case ConfirmOwner():
            check_owner(created.owner, meta)
            return []
        case _:
            check_owner(created.owner, meta)
            return changes(command, state, created)


def changes(
    command: PlaygroundCommand, state: Playground, created: PlaygroundCreated
) -> list[PlaygroundEvent]:
    """Return what the owner's request changes; an archive can only be deleted."""
    key = command.playground_id
    match command:
        case DeletePlayground():
            return [deletion(command, state)]
        case ArchivePlayground() if state.status == "archived":
            return []
        case ArchivePlayground():
            return [PlaygroundArchived(playground_id=key)]
        case _ if state.status == "archived":
            raise Archived(path="$.playground_id")
        case _:
            return set_up(command, state, created)


def deletion(command: DeletePlayground, state: Playground) -> PlaygroundDeleted:
    """Return the fact that a playground is gone, with all that it ever held."""
    asked = (span.question.question_id for span in state.questions.spans)
    return PlaygroundDeleted(
        playground_id=command.playground_id,
        model_keys=list(state.models),
        question_ids=list(dict.fromkeys(asked)),
        numbers=list(state.testers),
    )


def set_up(  # noqa: C901, PLR0911 - one return for each command
    command: PlaygroundCommand, state: Playground, created: PlaygroundCreated
) -> list[PlaygroundEvent]:
    """Return what a request changes in a playground that is not archived."""
    match command:
        case ActivatePlayground():
            return activate(command, state)
        case DeactivatePlayground():
            return deactivate(command, state)
        case ChangePlayground():
            return describe(command, state)
        case ConfigureModel():
            return configure(command, state, created)
        case RemoveModel():
            return remove_model(command, state, created)
        case ChangeAccessList():
            return list(relist(command, state, created.owner))
        case AddQuestion():
            return add_question(command, state, created)
        case ChangeQuestion():
            return change_question(command, state)
        case RemoveQuestion():
            return remove_question(command, state)
        case ReorderQuestions():
            return reorder(command, state)
        case CreatePlayground() | ArchivePlayground() | DeletePlayground():
            return []
        case _:
            assert_never(command)


def create(
    command: CreatePlayground, state: Playground, meta: Envelope
) -> list[PlaygroundEvent]:
    """Create a playground with its models and questions."""
    check_models(command.kind, [model.model_key for model in command.models])
    if command.is_active and not command.questions:
        raise NoQuestions(path="$.questions")
    parts = list(parts_of(command, meta.actor_id))
    created = PlaygroundCreated(
        playground_id=command.playground_id,
        name=command.name,
        kind=command.kind,
        description=command.description,
        support_text=markup.clean(command.support_text),
        owner=meta.actor_id,
        is_active=command.is_active,
        repetitions=repetitions_of(command),
        hold_seconds=command.hold_seconds,
        seed=seed_of(command),
        parts=len(parts),
        external_id=command.external_id,
    )
    return created_once(
        [created, *parts],
        state.creation,
        gone=state.status == "deleted",
        path="$.playground_id",
    )


def repetitions_of(command: CreatePlayground) -> int | None:
    """Return how often a tester may evaluate a model."""
    if command.repetitions is None and command.kind == "ab_testing":
        return 1
    return command.repetitions


def seed_of(command: CreatePlayground) -> int:
    """Return the seed that was given, or one made of the id."""
    if command.seed is not None:
        return command.seed
    digest = sha256(command.playground_id.bytes).digest()
    return int.from_bytes(digest[:8]) >> 1


def parts_of(command: CreatePlayground, owner: str) -> Iterator[PlaygroundEvent]:
    """Yield the models, the questions and the access list of a creation."""
    key = command.playground_id
    for place, model in enumerate(command.models):
        path = f"$.models[{place}].embed_code"
        yield added_model(model_of(key, model, path=path), owner)
    keys = {model.model_key for model in command.models}
    seen: set[QuestionId] = set()
    for place, question in enumerate(command.questions):
        path = f"$.questions[{place}]"
        if question.question_id in seen:
            raise SameQuestion(path=f"{path}.question_id")
        seen.add(question.question_id)
        check_asked(question.model_key, keys, path=f"{path}.model_key")
        check_options(question.question_type, question.options, f"{path}.options")
        yield question_of(
            key, question, owner=owner, order_index=place, revision=place + 1
        )
    yield from relist(command, Playground(), owner)


def model_of(
    key: PlaygroundId, model: NewModel | ConfigureModel, *, path: str
) -> ModelChanged:
    """Return a model as it is to be."""
    agent = markup.parsed(model.embed_code, path=path)
    return ModelChanged(
        playground_id=key,
        model_key=model.model_key,
        model_name=model.model_name,
        provider=agent.provider,
        agent_id=agent.agent_id,
        max_evaluations=model.max_evaluations,
    )


def added_model(model: ModelChanged, owner: str) -> ModelAdded:
    """Return the fact that a model is added."""
    return msgspec.convert(
        {**msgspec.structs.asdict(model), "owner": owner}, ModelAdded
    )


def question_of(
    key: PlaygroundId,
    question: NewQuestion | AddQuestion,
    *,
    owner: str,
    order_index: int,
    revision: int,
) -> QuestionAdded:
    """Return a question as the fact that it is asked."""
    return QuestionAdded(
        playground_id=key,
        owner=owner,
        question_id=question.question_id,
        revision=revision,
        model_key=question.model_key,
        text=question.question_text,
        kind=question.question_type,
        options=options_of(question.options),
        order_index=order_index,
        required=question.required,
    )


def options_of(given: Options) -> list[facts.Option]:
    """Return options as events hold them."""
    return [facts.Option(label=each.label, value=each.value) for each in given]


def check_models(kind: PlaygroundKind, keys: Sequence[str]) -> None:
    """Raise unless a playground of a kind can have these models."""
    if len(set(keys)) != len(keys):
        raise SameModel(path="$.models")
    if len(keys) > MAX_MODELS:
        raise TooMany(path="$.models")
    if (len(keys) < 2) != (kind == "tuning"):  # noqa: PLR2004 - A and B
        raise WrongModels(path="$.models")


def check_asked(model_key: str | None, keys: set[str], *, path: str) -> None:
    """Raise unless a question is asked of a model that is there."""
    if model_key is not None and model_key not in keys:
        raise NoSuchModel(path=path)


def describe(command: ChangePlayground, state: Playground) -> list[PlaygroundEvent]:
    """Change how a playground is described and run."""
    current = state.current
    if current is None:
        raise Missing(path="$.playground_id")
    text = command.support_text
    changed = PlaygroundChanged(
        playground_id=command.playground_id,
        name=either(command.name, current.name),
        description=either(command.description, current.description),
        support_text=current.support_text if text is None else markup.clean(text),
        repetitions=either(command.repetitions, current.repetitions),
        hold_seconds=either(command.hold_seconds, current.hold_seconds),
    )
    return [] if changed == current else [changed]


def activate(command: ActivatePlayground, state: Playground) -> list[PlaygroundEvent]:
    """Activate a playground that asks something."""
    if state.status == "active":
        return []
    if not state.questions.now():
        raise NoQuestions(path="$.playground_id")
    return [PlaygroundActivated(playground_id=command.playground_id)]


def deactivate(
    command: DeactivatePlayground, state: Playground
) -> list[PlaygroundEvent]:
    """Deactivate a playground."""
    if state.status == "inactive":
        return []
    return [PlaygroundDeactivated(playground_id=command.playground_id)]


def configure(
    command: ConfigureModel, state: Playground, created: PlaygroundCreated
) -> list[PlaygroundEvent]:
    """Add a model or change one."""
    check_models(created.kind, list({**state.models, command.model_key: None}))
    configured = model_of(command.playground_id, command, path="$.embed_code")
    known = state.models.get(command.model_key)
    if known is None:
        return [added_model(configured, created.owner)]
    return [] if configured == known else [configured]


def remove_model(
    command: RemoveModel, state: Playground, created: PlaygroundCreated
) -> list[PlaygroundEvent]:
    """Remove a model of which no question is asked, and that others outnumber."""
    if command.model_key not in state.models:
        return []
    check_models(created.kind, [k for k in state.models if k != command.model_key])
    if any(each.model_key == command.model_key for each in state.questions.now()):
        raise ModelAskedAbout(path="$.model_key")
    return [
        ModelRemoved(playground_id=command.playground_id, model_key=command.model_key)
    ]


def relist(
    command: ChangeAccessList | CreatePlayground, state: Playground, owner: str
) -> Iterator[PlaygroundEvent]:
    """Yield what makes these addresses the access list."""
    key, emails = command.playground_id, command.restricted_emails
    if emails is None:
        if state.restricted:
            yield AccessOpened(playground_id=key, numbers=list(state.testers))
        return
    if not emails:
        raise NobodyListed(path="$.restricted_emails")
    wanted = dict.fromkeys(email.casefold() for email in emails)
    if not state.restricted:
        yield AccessRestricted(playground_id=key)
    for number, email in state.testers.items():
        if email not in wanted:
            yield TesterUnlisted(playground_id=key, number=number)
    known = set(state.testers.values())
    new = [email for email in wanted if email not in known]
    for number, email in enumerate(new, start=state.listed + 1):
        yield TesterListed(
            playground_id=key,
            owner=owner,
            number=number,
            email=email,
            subject_id=SubjectId(uuid5(key, f"tester-{number}")),
        )


def add_question(
    command: AddQuestion, state: Playground, created: PlaygroundCreated
) -> list[PlaygroundEvent]:
    """Ask one more question."""
    check_asked(command.model_key, set(state.models), path="$.model_key")
    check_options(command.question_type, command.options, "$.options")
    asked = state.questions.now()
    known = state.questions.current(command.question_id)
    order_index = max((each.order_index for each in asked), default=-1) + 1
    added = question_of(
        command.playground_id,
        command,
        owner=created.owner,
        order_index=order_index if known is None else known.order_index,
        revision=state.questions.revision + 1,
    )
    if known is not None and same(known, added):
        return []
    ever = {span.question.question_id for span in state.questions.spans}
    if command.question_id in ever:
        raise AlreadyExists(path="$.question_id")
    if len(asked) >= MAX_QUESTIONS:
        raise TooMany(path="$.question_id")
    return [added]


def same(known: Question, given: QuestionAdded | QuestionChanged) -> bool:
    """Say whether a question is asked just so already."""
    return (known.model_key, known.text, known.kind, known.options, known.required) == (
        given.model_key,
        given.text,
        given.kind,
        tuple(given.options),
        given.required,
    )


def change_question(
    command: ChangeQuestion, state: Playground
) -> list[PlaygroundEvent]:
    """Ask a question in other words."""
    known = state.questions.current(command.question_id)
    if known is None:
        raise Missing(path="$.question_id")
    check_asked(command.model_key, set(state.models), path="$.model_key")
    check_options(known.kind, command.options, "$.options")
    changed = QuestionChanged(
        playground_id=command.playground_id,
        question_id=command.question_id,
        revision=state.questions.revision + 1,
        model_key=command.model_key,
        text=command.question_text,
        kind=known.kind,
        options=options_of(command.options),
        required=command.required,
    )
    return [] if same(known, changed) else [changed]


def remove_question(
    command: RemoveQuestion, state: Playground
) -> list[PlaygroundEvent]:
    """Ask a question no more."""
    asked = state.questions.now()
    if all(each.question_id != command.question_id for each in asked):
        return []
    if len(asked) == 1 and state.status == "active":
        raise NoQuestions(path="$.question_id")
    return [
        QuestionRemoved(
            playground_id=command.playground_id,
            question_id=command.question_id,
            revision=state.questions.revision + 1,
        )
    ]


def reorder(command: ReorderQuestions, state: Playground) -> list[PlaygroundEvent]:
    """Ask the questions in another order."""
    asked = [each.question_id for each in state.questions.now()]
    if sorted(command.question_ids) != sorted(asked):
        raise WrongOrder(path="$.question_ids")
    if command.question_ids == asked:
        return []
    return [
        QuestionsReordered(
            playground_id=command.playground_id,
            question_ids=command.question_ids,
            revision=state.questions.revision + 1,
        )
    ]


def confirm_tester(
    state: Playground, created: PlaygroundCreated, meta: Envelope
) -> None:
    """Raise unless who asks may evaluate here."""
    if not state.restricted or meta.actor_id == created.owner:
        return
    email = meta.email
    if email is None or email.casefold() not in state.testers.values():
        raise NotListed(path="$.playground_id")


def also(
    command: AnyPlaygroundCommand, state: Playground, meta: Envelope
) -> Sequence[Command]:
    """Tell the ledger what bears on places."""
    if isinstance(command, CreatePlayground):
        created = create(command, state, meta)
        after = reduce(evolve, created, state)
        opened = OpenLedger(
            playground_id=command.playground_id,
            owner=meta.actor_id,
            seed=seed_of(command),
            terms=terms_of(after),
        )
        return [opened]
    if isinstance(command, DeletePlayground):
        return [CloseLedger(playground_id=command.playground_id)]
    before = terms_of(state)
    after = reduce(evolve, decide(command, state, meta), state)
    if terms_of(after) == before:
        return []
    return [AdjustLedger(playground_id=command.playground_id, terms=terms_of(after))]


def terms_of(state: Playground) -> Terms:
    """Return what a ledger goes by."""
    current = state.current
    if current is None:
        raise Missing(path="$.playground_id")
    return Terms(
        places=caps_of(state.models),
        repetitions=current.repetitions,
        hold_seconds=current.hold_seconds,
        revision=state.questions.revision,
        is_open=state.status == "active",
    )


def caps_of(models: Mapping[str, ModelChanged]) -> Mapping[str, int]:
    """Return how many places each model has, in the order of their keys."""
    return {key: models[key].max_evaluations for key in sorted(models)}


decider: Final = Decider[AnyPlaygroundCommand, Playground, PlaygroundEvent](
    category="playgrounds.playground",
    commands=get_args(AnyPlaygroundCommand),
    events=get_args(PlaygroundEvent),
    initial=Playground(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.playground_id,
    also=also,
    internal=(ConfirmTester, ConfirmOwner, ConfirmAnswers),
)
