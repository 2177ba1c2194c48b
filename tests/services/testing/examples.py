"""A library desk under test: commands that create it, each small and complete."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid5

from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    SetRunId,
    TrialId,
    UnitTestId,
    UnitTestSetId,
)
from events.testing.metrics import Value
from events.testing.unit_tests import Operator
from services.testing.agents import Connection, RegisterAgent
from services.testing.metrics import CreateMetric, RecordedReward
from services.testing.personas import CreatePersona
from services.testing.scenarios import CreateScenario, InitialMessage
from services.testing.set_runs import RecordTrial, StartSetRun
from services.testing.specs import PinnedCriterion, Spec
from services.testing.trials import AnyEntry, Message
from services.testing.unit_test_sets import CreateUnitTestSet, UnitTestEntry
from services.testing.unit_tests import CreateUnitTest, Criterion


PERSONA: Final = PersonaId(UUID(int=1))
SCENARIO: Final = ScenarioId(UUID(int=2))
METRIC: Final = MetricId(UUID(int=3))
AGENT: Final = AgentId(UUID(int=4))
TEST: Final = UnitTestId(UUID(int=5))
OTHER_TEST: Final = UnitTestId(UUID(int=6))
SET: Final = UnitTestSetId(UUID(int=7))
RUN: Final = SetRunId(UUID(int=8))
NOBODY: Final = UUID(int=404)

A_PERSONA: Final = CreatePersona(
    persona_id=PERSONA,
    name="Mira",
    role="reader",
    background="Returns books late and is sorry about it.",
    preferred_language="en",
    timezone="Europe/Berlin",
    tags=["patient"],
)
A_SCENARIO: Final = CreateScenario(
    scenario_id=SCENARIO,
    name="A lost book",
    objective="Get the fee for a lost book waived.",
    instructions="Say where you lost it only when asked.",
    initial_message=InitialMessage(kind="user_message", text="I lost a book."),
)
A_METRIC: Final = CreateMetric(
    metric_id=METRIC,
    name="recorded reward",
    value_type="boolean",
    definition=RecordedReward(),
)
AN_AGENT: Final = RegisterAgent(
    agent_id=AGENT, name="Desk", connection=Connection(kind="recorded")
)


def a_test(
    key: UnitTestId = TEST,
    *,
    operator: Operator = "==",
    value: Value = True,
    version: int | None = None,
) -> CreateUnitTest:
    return CreateUnitTest(
        unit_test_id=key,
        name="The fee is waived",
        persona_id=PERSONA,
        scenario_id=SCENARIO,
        service_id=AGENT,
        success_criterions=[
            Criterion(
                metric_id=METRIC,
                operator=operator,
                value=value,
                metric_version=version,
            )
        ],
    )


def a_set(*counts: tuple[UnitTestId, int]) -> CreateUnitTestSet:
    return CreateUnitTestSet(
        set_id=SET,
        name="Fees",
        unit_tests=[
            UnitTestEntry(unit_test_id=key, run_count=count) for key, count in counts
        ],
    )


def a_criterion(
    *, operator: Operator = "==", value: Value = True, version: int = 1
) -> PinnedCriterion:
    return PinnedCriterion(
        metric_id=METRIC,
        metric_version=version,
        name="recorded reward",
        value_type="boolean",
        definition=RecordedReward(),
        operator=operator,
        value=value,
    )


def a_spec(
    key: UnitTestId = TEST,
    *,
    run_count: int = 1,
    criteria: Sequence[PinnedCriterion] = (),
    version: int = 1,
) -> Spec:
    return Spec(
        unit_test_id=key,
        name="The fee is waived",
        persona_id=PERSONA,
        persona_version=version,
        scenario_id=SCENARIO,
        scenario_version=1,
        service_id=AGENT,
        service_version_set_name="release",
        service_version=1,
        max_interactions=30,
        success_criterions=list(criteria) or [a_criterion()],
        run_count=run_count,
    )


def a_run(*specs: Spec) -> StartSetRun:
    return StartSetRun(run_id=RUN, set_id=SET, specs=list(specs), seed=7)


def trial_id(key: UnitTestId, index: int) -> TrialId:
    return TrialId(uuid5(key, str(index)))


def a_trial(
    key: UnitTestId = TEST,
    index: int = 0,
    *,
    reward: float | None = 1.0,
    error: str | None = None,
    entries: Sequence[AnyEntry] = (),
) -> RecordTrial:
    return RecordTrial(
        run_id=RUN,
        trial_id=trial_id(key, index),
        unit_test_id=key,
        index=index,
        entries=list(entries)
        or [
            Message(role="user", text="I lost a book."),
            Message(role="assistant", text="The fee is waived."),
        ],
        end_reason="user_stop",
        reward=reward,
        error=error,
    )


DESK: Final = (A_PERSONA, A_SCENARIO, A_METRIC, AN_AGENT)
DESK_WITH_SET: Final = (
    *DESK,
    a_test(),
    a_test(OTHER_TEST),
    a_set((TEST, 2), (OTHER_TEST, 1)),
)
