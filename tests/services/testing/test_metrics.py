from typing import Any

import pytest
from msgspec.structs import replace

from events.testing import metrics as facts
from events.testing.metrics import MetricCreated, MetricDeleted, MetricVersionAdded
from events.testing.references import ReferencesClosed, ReferencesOpened
from services.testing.common import AlreadyExists, Deleted, NewerVersion, version_id
from services.testing.evaluation import BadPattern
from services.testing.metrics import (
    AddMetricVersion,
    Assertion,
    CreateMetric,
    DeleteMetric,
    NotMeasured,
    RecordedReward,
    TextMatch,
    UnclearValues,
)
from services.testing.references import StillReferenced
from tests.given import given
from tests.services.testing.examples import A_METRIC, DESK, METRIC, a_test


SORRY = TextMatch(mode="regex", pattern=r"\bsorry\b")
SECOND = AddMetricVersion(metric_id=METRIC, definition=SORRY)


def test_a_metric_is_created_with_its_first_version() -> None:
    given().when(A_METRIC).then(
        MetricCreated(
            metric_id=METRIC,
            name="recorded reward",
            value_type="boolean",
            minimum=None,
            maximum=None,
            categories=[],
            tags={},
        ),
        MetricVersionAdded(
            metric_id=METRIC,
            version_id=version_id(METRIC, 1),
            version=1,
            definition=facts.RecordedReward(),
        ),
        ReferencesOpened(target_id=METRIC, kind="metric"),
    )


def test_creating_twice_changes_nothing() -> None:
    given(A_METRIC, SECOND).when(A_METRIC).then()


def test_another_metric_with_the_id_is_refused() -> None:
    other = replace(A_METRIC, value_type="numeric")
    given(A_METRIC).when(other).then_refused(AlreadyExists)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"minimum": 0.0}, "$.minimum"),
        ({"maximum": 1.0}, "$.maximum"),
        ({"categories": ["low", "high"]}, "$.categories"),
        ({"value_type": "numeric", "minimum": 2.0, "maximum": 1.0}, "$.minimum"),
        ({"value_type": "categorical"}, "$.categories"),
        ({"value_type": "categorical", "categories": ["a", "a"]}, "$.categories"),
        (
            {"value_type": "categorical", "categories": ["a", "b"], "maximum": 1.0},
            "$.maximum",
        ),
    ],
)
def test_bounds_and_categories_suit_the_type(fields: dict[str, Any], path: str) -> None:
    given().when(replace(A_METRIC, **fields)).then_refused(UnclearValues, path=path)


@pytest.mark.parametrize("pattern", ["(", r"(?=a)", r"(a)\1", "(.{1,500}){1,2}q"])
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str) -> None:
    bad = TextMatch(mode="regex", pattern=pattern)
    given().when(replace(A_METRIC, definition=bad)).then_refused(
        BadPattern, path="$.definition.pattern"
    )
    given(A_METRIC).when(replace(SECOND, definition=bad)).then_refused(BadPattern)


def test_a_text_that_is_no_pattern_may_be_looked_for() -> None:
    command = CreateMetric(
        metric_id=METRIC,
        name="smile",
        value_type="numeric",
        minimum=0,
        maximum=9,
        definition=TextMatch(mode="contains", pattern=":("),
    )
    assert given().when(command).failure is None


def test_a_version_that_differs_is_added() -> None:
    given(A_METRIC).when(SECOND).then(
        MetricVersionAdded(
            metric_id=METRIC,
            version_id=version_id(METRIC, 2),
            version=2,
            definition=facts.TextMatch(mode="regex", pattern=r"\bsorry\b"),
        )
    ).when(SECOND).then()


def test_a_version_is_refused_where_another_came_first() -> None:
    late = AddMetricVersion(
        metric_id=METRIC, definition=RecordedReward(), expected_latest_version=1
    )
    given(A_METRIC, SECOND).when(late).then_refused(NewerVersion)


def test_a_metric_is_deleted_once_and_stays_as_it_was() -> None:
    deletion = DeleteMetric(metric_id=METRIC)
    world = (
        given(A_METRIC)
        .when(deletion)
        .then(MetricDeleted(metric_id=METRIC), ReferencesClosed(target_id=METRIC))
    )
    world.when(deletion).then()
    world.when(SECOND).then_refused(Deleted, path="$.metric_id")


def test_a_metric_in_use_is_not_deleted() -> None:
    given(*DESK, a_test()).when(DeleteMetric(metric_id=METRIC)).then_refused(
        StillReferenced, path="$.metric_id"
    )


def test_an_assertion_measures_a_boolean_metric() -> None:
    command = replace(A_METRIC, definition=Assertion(text="Agent should apologise."))
    result = given().when(command)
    (_, version, *_) = result.events
    assert isinstance(version, MetricVersionAdded)
    assert version.definition == facts.Assertion(text="Agent should apologise.")


def test_an_assertion_measures_nothing_but_a_boolean_metric() -> None:
    assertion = Assertion(text="Agent should apologise.")
    numeric = replace(A_METRIC, value_type="numeric")
    given().when(replace(numeric, definition=assertion)).then_refused(
        NotMeasured, path="$.definition.type"
    )
    given(numeric).when(
        AddMetricVersion(metric_id=METRIC, definition=assertion)
    ).then_refused(NotMeasured)
