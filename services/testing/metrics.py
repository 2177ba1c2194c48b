"""A metric: the type of its value is fixed, how it is measured changes by versions.

Whoever relies on a metric, a unit test or a run, has it confirmed here that the version
exists and that what is compared fits the type of the value.
"""

from collections.abc import Sequence
from typing import Annotated, Final, assert_never, get_args

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.errors import Refused
from events.ids import MetricId
from events.message import Command
from events.message import Meta as Envelope
from events.testing import metrics as facts
from events.testing.metrics import (
    MetricCreated,
    MetricDeleted,
    MetricEvent,
    MetricVersionAdded,
    Value,
    ValueType,
)
from events.testing.set_runs import PinnedCriterion
from events.testing.unit_tests import Operator
from services.decider import Decider
from services.testing.common import (
    ExternalId,
    GivenTags,
    ListedLabel,
    Name,
    Pin,
    TestingCommand,
    VersionNumber,
    as_fact,
    check_newest,
    check_pins,
    created_once,
    still_there,
    tags_of,
    version_id,
)
from services.testing.evaluation import check_pattern
from services.testing.references import CloseReferences, OpenReferences


CREATION: Final = 2  # facts
MIN_CATEGORIES: Final = 2


class TextMatch(facts.TextMatch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Look for a text in what was said.

    `mode` `regex` is RE2 syntax, searched anywhere; `role` null looks at every role. A
    boolean metric gets whether there was a match, a numeric one how many messages
    matched, a categorical one its first category that occurs in a message that matched.
    """

    pattern: Annotated[str, Meta(min_length=1, max_length=1_000)]


class RecordedReward(
    facts.RecordedReward, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Take the reward that was recorded with an imported conversation.

    A numeric metric gets the reward, a boolean one whether it is 1 within 1e-6, a
    categorical one the category that the reward is the index of.
    """


class Assertion(facts.Assertion, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say in a sentence what the agent has to do, or must not, for a boolean metric.

    It is judged by rules, which abstain on what they cannot check.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\S")]


Definition = TextMatch | RecordedReward | Assertion


class CreateMetric(TestingCommand, frozen=True, kw_only=True):
    """Create a metric with its first version.

    `minimum` and `maximum` may bound a numeric value: outside, the metric abstains.
    `categories`, two or more, list the values of a categorical one. Tags come as a
    map, or as a list of keys.
    """

    metric_id: MetricId
    name: Name
    value_type: ValueType
    definition: Definition
    minimum: float | None = None
    maximum: float | None = None
    categories: Annotated[list[ListedLabel], Meta(max_length=100)] = msgspec.field(
        default_factory=list
    )
    tags: GivenTags = msgspec.field(default_factory=dict)
    external_id: ExternalId | None = None


class AddMetricVersion(TestingCommand, frozen=True, kw_only=True):
    """Measure a metric in a new way, unless the newest version says the same.

    With `expected_latest_version` it is refused where another version came first.
    """

    metric_id: MetricId
    definition: Definition
    expected_latest_version: VersionNumber | None = None


class DeleteMetric(TestingCommand, frozen=True, kw_only=True):
    """Delete a metric that no unit test uses."""

    metric_id: MetricId


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that a unit test makes, at `path` in the request."""

    operator: Operator
    value: Value
    version: int | None
    path: str


class ConfirmCriteria(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless a metric has the versions and the type that its uses need."""

    metric_id: MetricId
    uses: tuple[Use, ...]


class PinnedUse(msgspec.Struct, frozen=True, kw_only=True):
    """A criterion that a run pins, at `path` in the request."""

    criterion: PinnedCriterion
    path: str


class ConfirmPinnedCriteria(TestingCommand, frozen=True, kw_only=True):
    """Refuse unless pinned criteria show a metric as it is."""

    metric_id: MetricId
    uses: tuple[PinnedUse, ...]


MetricCommand = CreateMetric | AddMetricVersion | DeleteMetric
AnyMetricCommand = MetricCommand | ConfirmCriteria | ConfirmPinnedCriteria


class UnclearValues(Refused):
    """Bounds are for numeric metrics, two or more categories for categorical ones."""


class NotMeasured(Refused):
    """A metric of this type cannot be measured so."""


class CriterionDoesNotFit(Refused):
    """This cannot be compared with the metric's value."""


class NotAsPinned(Refused):
    """The metric is not what the criterion says."""


class Metric(msgspec.Struct, frozen=True):
    """A metric as its rules see it; `creation` holds its first two facts."""

    creation: tuple[MetricEvent, ...] = ()
    created: MetricCreated | None = None
    definitions: tuple[facts.Definition, ...] = ()
    deleted: bool = False


def evolve(state: Metric, event: MetricEvent) -> Metric:
    """Return the state after an event."""
    if len(state.creation) < CREATION:
        state = replace(state, creation=(*state.creation, event))
    match event:
        case MetricCreated():
            return replace(state, created=event)
        case MetricVersionAdded(definition=definition):
            return replace(state, definitions=(*state.definitions, definition))
        case MetricDeleted():
            return replace(state, deleted=True)
        case _:
            assert_never(event)


def decide(
    command: AnyMetricCommand, state: Metric, _meta: Envelope
) -> list[MetricEvent]:
    """Return what happens: a deleted metric can only be deleted again."""
    if isinstance(command, CreateMetric):
        return create(command, state)
    if isinstance(command, DeleteMetric) and state.deleted:
        return []
    path = "$.metric_id"
    if isinstance(command, ConfirmPinnedCriteria):
        path = f"{command.uses[0].path}.metric_id"
    created = still_there(state.created, deleted=state.deleted, path=path)
    match command:
        case AddMetricVersion():
            return add_version(command, state, created)
        case DeleteMetric():
            return [MetricDeleted(metric_id=command.metric_id)]
        case ConfirmCriteria():
            confirm(command, state, created)
            return []
        case ConfirmPinnedCriteria():
            confirm_pinned(command, state, created)
            return []
        case _:
            assert_never(command)


def create(command: CreateMetric, state: Metric) -> list[MetricEvent]:
    """Create a metric and its first version."""
    check_values(command)
    check_definition(command.definition, command.value_type)
    key = command.metric_id
    creation: list[MetricEvent] = [
        MetricCreated(
            metric_id=key,
            name=command.name,
            value_type=command.value_type,
            minimum=command.minimum,
            maximum=command.maximum,
            categories=command.categories,
            tags=tags_of(command.tags),
            external_id=command.external_id,
        ),
        version(command, 1),
    ]
    return created_once(
        creation, state.creation, deleted=state.deleted, path="$.metric_id"
    )


def check_values(command: CreateMetric) -> None:
    """Raise `UnclearValues` unless bounds and categories suit the type."""
    low, high = command.minimum, command.maximum
    if command.value_type != "numeric":
        for path, bound in (("$.minimum", low), ("$.maximum", high)):
            if bound is not None:
                raise UnclearValues(path=path)
    if low is not None and high is not None and low > high:
        message = "The minimum is above the maximum."
        raise UnclearValues(message, path="$.minimum")
    distinct = len(set(command.categories))
    if command.value_type != "categorical":
        if distinct:
            raise UnclearValues(path="$.categories")
    elif distinct < max(MIN_CATEGORIES, len(command.categories)):
        message = "A categorical metric has two or more categories, all different."
        raise UnclearValues(message, path="$.categories")


def check_definition(definition: Definition, value_type: ValueType) -> None:
    """Raise the first reason why a metric of a type cannot be measured so."""
    check_pattern(definition)
    if isinstance(definition, Assertion) and value_type != "boolean":
        message = f"An assertion holds or not: it cannot measure a {value_type} metric."
        raise NotMeasured(message, path="$.definition.type")


def add_version(
    command: AddMetricVersion, state: Metric, created: MetricCreated
) -> list[MetricEvent]:
    """Add a version that differs from the newest."""
    check_definition(command.definition, created.value_type)
    newest = len(state.definitions)
    if definition_of(command.definition) == state.definitions[-1]:
        return []
    check_newest(command.expected_latest_version, newest)
    return [version(command, newest + 1)]


def version(
    command: CreateMetric | AddMetricVersion, number: int
) -> MetricVersionAdded:
    """Return the numbered version that a command asks for."""
    return MetricVersionAdded(
        metric_id=command.metric_id,
        version_id=version_id(command.metric_id, number),
        version=number,
        definition=definition_of(command.definition),
    )


def definition_of(given: Definition) -> facts.Definition:
    """Return a definition as events hold it."""
    match given:
        case TextMatch():
            return as_fact(given, facts.TextMatch)
        case RecordedReward():
            return facts.RecordedReward()
        case Assertion():
            return as_fact(given, facts.Assertion)
        case _:
            assert_never(given)


def confirm(command: ConfirmCriteria, state: Metric, created: MetricCreated) -> None:
    """Raise the first reason why a metric cannot be used as a unit test wants."""
    for use in command.uses:
        pin = Pin(version=use.version or 1, path=f"{use.path}.metric_version")
        check_pins([pin], len(state.definitions))
        check_fit(created, use.operator, use.value, use.path)


def confirm_pinned(
    command: ConfirmPinnedCriteria, state: Metric, created: MetricCreated
) -> None:
    """Raise the first difference between a metric and what a run says of it."""
    for use in command.uses:
        pinned = use.criterion
        pin = Pin(version=pinned.metric_version, path=f"{use.path}.metric_version")
        check_pins([pin], len(state.definitions))
        for field in ("name", "value_type", "minimum", "maximum", "categories"):
            if getattr(pinned, field) != getattr(created, field):
                raise NotAsPinned(path=f"{use.path}.{field}")
        if pinned.definition != state.definitions[pinned.metric_version - 1]:
            raise NotAsPinned(path=f"{use.path}.definition")
        check_fit(created, pinned.operator, pinned.value, use.path)


def check_fit(
    created: MetricCreated, operator: Operator, value: Value, path: str
) -> None:
    """Raise `CriterionDoesNotFit` unless a metric's values compare with this one."""
    kind = created.value_type
    if kind != "numeric" and operator not in ("==", "!="):
        message = f"A {kind} value is equal to another or not: no {operator}."
        raise CriterionDoesNotFit(message, path=f"{path}.operator")
    fits = {
        "boolean": isinstance(value, bool),
        "numeric": isinstance(value, int | float) and not isinstance(value, bool),
        "categorical": value in created.categories,
    }
    if not fits[kind]:
        message = f"{value!r} is no value of a {kind} metric."
        if kind == "categorical":
            message = f"{value!r} is none of {', '.join(created.categories)}."
        raise CriterionDoesNotFit(message, path=f"{path}.value")


def also(
    command: AnyMetricCommand, _state: Metric, _meta: Envelope
) -> Sequence[Command]:
    """Ask that a metric may be referred to from its creation to its deletion."""
    key, path = command.metric_id, "$.metric_id"
    match command:
        case CreateMetric():
            return [OpenReferences(target_id=key, kind="metric", path=path)]
        case DeleteMetric():
            return [CloseReferences(target_id=key, path=path)]
        case _:
            return []


decider: Final = Decider[AnyMetricCommand, Metric, MetricEvent](
    category="testing.metric",
    commands=get_args(AnyMetricCommand),
    events=get_args(MetricEvent),
    initial=Metric(),
    evolve=evolve,
    decide=decide,
    identify=lambda command: command.metric_id,
    also=also,
    internal=(ConfirmCriteria, ConfirmPinnedCriteria),
)
