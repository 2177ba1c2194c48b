"""Facts about metrics: what is measured of a conversation, and how."""

from typing import Literal
from uuid import UUID

import msgspec

from events.ids import MetricId
from events.testing.common import Tags, TestingEvent


ValueType = Literal["boolean", "numeric", "categorical"]
Value = bool | float | str


class TextMatch(msgspec.Struct, frozen=True, kw_only=True, tag="text_match"):
    """Looks for a text in what was said.

    `mode` `regex` is RE2 syntax, searched anywhere; `role` None looks at every role.
    A boolean metric gets whether there was a match, a numeric one how many messages
    matched, a categorical one the first category (in the metric's order) that occurs.
    """

    mode: Literal["contains", "equals", "regex"]
    pattern: str
    role: Literal["user", "assistant"] | None = "assistant"
    ignore_case: bool = True


class RecordedReward(msgspec.Struct, frozen=True, kw_only=True, tag="recorded_reward"):
    """Takes the reward that was recorded with an imported conversation.

    A numeric metric gets the reward, a boolean one whether it is 1 within 1e-6, a
    categorical one the category that the reward is the index of.
    """


class Assertion(msgspec.Struct, frozen=True, kw_only=True, tag="assertion"):
    """Says in a sentence what the agent has to do, or must not, for a boolean metric.

    It is judged by rules, which abstain on what they cannot check.
    """

    text: str


Definition = TextMatch | RecordedReward | Assertion


class MetricCreated(TestingEvent, frozen=True, kw_only=True):
    """A metric exists; the type of its value never changes.

    `minimum` and `maximum` bound a numeric value, `categories` list a categorical one.
    """

    metric_id: MetricId
    name: str
    value_type: ValueType
    minimum: float | None
    maximum: float | None
    categories: list[str]
    tags: Tags
    external_id: str | None = None


class MetricVersionAdded(TestingEvent, frozen=True, kw_only=True):
    """A metric is measured in a new way, numbered from 1; older ones stay."""

    metric_id: MetricId
    version_id: UUID
    version: int
    definition: Definition


class MetricDeleted(TestingEvent, frozen=True, kw_only=True):
    """A metric may no longer be used."""

    metric_id: MetricId


MetricEvent = MetricCreated | MetricVersionAdded | MetricDeleted
