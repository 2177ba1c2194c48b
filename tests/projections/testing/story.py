"""One story in facts: a persona plays a scenario against an agent, twice, in a run."""

from typing import Final
from uuid import UUID, uuid5

from events.access.subjects import SubjectErased
from events.conversation import (
    ConversationEnded,
    MessageAdded,
    ToolCalled,
    ToolReturned,
)
from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    SetRunId,
    SubjectId,
    TrialId,
    UnitTestId,
    UnitTestSetId,
)
from events.message import Event
from events.testing.agents import (
    AgentConfigured,
    AgentRegistered,
    AgentRetired,
    Connection,
    VersionSetAssigned,
)
from events.testing.metrics import (
    MetricCreated,
    MetricDeleted,
    MetricVersionAdded,
    RecordedReward,
    TextMatch,
)
from events.testing.personas import (
    PersonaCreated,
    PersonaDeleted,
    PersonaDetailsChanged,
    PersonaVersionAdded,
)
from events.testing.scenarios import (
    InitialMessage,
    ScenarioCreated,
    ScenarioDeleted,
    ScenarioDetailsChanged,
    ScenarioVersionAdded,
)
from events.testing.set_runs import (
    ArtifactGenerated,
    MetricResult,
    Outcome,
    PinnedCriterion,
    SetRunCancelled,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    SetRunRequested,
    Slot,
    Spec,
    TrialCounted,
    TrialsReopened,
)
from events.testing.trials import TrialFinished, TrialStarted
from events.testing.unit_test_sets import (
    UnitTestEntry,
    UnitTestSetChanged,
    UnitTestSetCreated,
    UnitTestSetDeleted,
)
from events.testing.unit_tests import (
    Criterion,
    UnitTestChanged,
    UnitTestCreated,
    UnitTestDeleted,
)


def identifier(name: str) -> UUID:
    """Return the identifier that a name always has here."""
    return uuid5(UUID("6f1d5a3e-0000-7000-8000-000000000001"), name)


PERSONA: Final = PersonaId(identifier("persona"))
SCENARIO: Final = ScenarioId(identifier("scenario"))
METRIC: Final = MetricId(identifier("metric"))
AGENT: Final = AgentId(identifier("agent"))
TEST: Final = UnitTestId(identifier("unit test"))
OTHER_TEST: Final = UnitTestId(identifier("other unit test"))
SET: Final = UnitTestSetId(identifier("set"))
RUN: Final = SetRunId(identifier("run"))
LATER_RUN: Final = SetRunId(identifier("later run"))
TRIAL: Final = TrialId(identifier("trial"))
OTHER_TRIAL: Final = TrialId(identifier("other trial"))
SUBJECT: Final = SubjectId(identifier("subject"))
ARTIFACT: Final = identifier("artifact")

PERSONA_CREATED: Final = PersonaCreated(
    persona_id=PERSONA,
    name="Late reader",
    role="borrower",
    tags={"desk": "loans"},
    external_id="p-1",
)
PERSONA_CHANGED: Final = PersonaDetailsChanged(
    persona_id=PERSONA, name="Later reader", role="visitor", tags={}
)
PERSONA_DELETED: Final = PersonaDeleted(persona_id=PERSONA)
SCENARIO_CREATED: Final = ScenarioCreated(
    scenario_id=SCENARIO, name="Renew a loan", tags={"loans": None}, external_id="s-1"
)
SCENARIO_CHANGED: Final = ScenarioDetailsChanged(
    scenario_id=SCENARIO, name="Renew two loans", tags={}
)
SCENARIO_DELETED: Final = ScenarioDeleted(scenario_id=SCENARIO)
METRIC_CREATED: Final = MetricCreated(
    metric_id=METRIC,
    name="Polite",
    value_type="numeric",
    minimum=0.0,
    maximum=5.0,
    categories=[],
    tags={},
)
METRIC_DELETED: Final = MetricDeleted(metric_id=METRIC)
AGENT_REGISTERED: Final = AgentRegistered(
    agent_id=AGENT, name="Desk", description="Answers at the desk", tags={}
)
AGENT_RETIRED: Final = AgentRetired(agent_id=AGENT)
SET_CREATED: Final = UnitTestSetCreated(
    set_id=SET,
    name="Nightly",
    description="Every night",
    unit_tests=[
        UnitTestEntry(unit_test_id=TEST, run_count=2),
        UnitTestEntry(unit_test_id=OTHER_TEST),
    ],
    tags={"when": "night"},
)
SET_CHANGED: Final = UnitTestSetChanged(
    set_id=SET,
    name="Weekly",
    description="Every week",
    unit_tests=[UnitTestEntry(unit_test_id=TEST)],
    tags={},
)
SET_DELETED: Final = UnitTestSetDeleted(set_id=SET)
TEST_CHANGED: Final = UnitTestChanged(
    unit_test_id=TEST,
    name="Renews politely",
    description="Two loans",
    persona_id=PERSONA,
    scenario_id=SCENARIO,
    service_id=AGENT,
    service_version_set_name="candidate",
    max_interactions=20,
    success_criterions=[],
    tags={},
)
TEST_DELETED: Final = UnitTestDeleted(unit_test_id=TEST)
FAILED: Final = MetricResult(
    metric_id=METRIC,
    metric_version=1,
    name="Polite",
    value=1.0,
    outcome="failed",
    justification="1 message matched, 2 were needed",
    references=[2],
    engine="rules/1",
)
PASSED: Final = MetricResult(
    metric_id=METRIC,
    metric_version=1,
    name="Polite",
    value=2.0,
    outcome="passed",
    justification="2 messages matched",
    references=[2, 4],
    engine="rules/1",
)
ARTIFACT_GENERATED: Final = ArtifactGenerated(
    run_id=RUN,
    artifact_id=ARTIFACT,
    name="results.json",
    media_type="application/json",
    sha256="ab" * 32,
    size=5_000_000_000,
)
RUN_COMPLETED: Final = SetRunCompleted(
    run_id=RUN, passed=1, failed=1, inconclusive=0, errored=0
)
RUN_CANCELLED: Final = SetRunCancelled(run_id=RUN, reason="Too slow")
RUN_FAILED: Final = SetRunFailed(run_id=RUN, reason="The set has no unit test.")
TRIAL_REOPENED: Final = TrialsReopened(
    run_id=RUN,
    slots=[Slot(unit_test_id=TEST, index=0, attempt=2, replaces=TRIAL)],
)
ERASED_SUBJECT: Final = SubjectErased(subject_id=SUBJECT, reason="They asked")


def persona_version(version: int, background: str = "Reads a lot") -> Event:
    return PersonaVersionAdded(
        persona_id=PERSONA,
        version_id=identifier(f"persona version {version}"),
        version=version,
        background=background,
        preferred_language="en",
        timezone="Europe/Lisbon",
    )


def scenario_version(version: int, objective: str = "Keep the book") -> Event:
    return ScenarioVersionAdded(
        scenario_id=SCENARIO,
        version_id=identifier(f"scenario version {version}"),
        version=version,
        objective=objective,
        instructions="Ask to renew",
        initial_message=InitialMessage(kind="user_message", text="Hello"),
    )


def metric_version(version: int) -> Event:
    return MetricVersionAdded(
        metric_id=METRIC,
        version_id=identifier(f"metric version {version}"),
        version=version,
        definition=TextMatch(mode="contains", pattern="please")
        if version == 1
        else RecordedReward(),
    )


def agent_version(version: int) -> Event:
    return AgentConfigured(
        agent_id=AGENT,
        version_id=identifier(f"agent version {version}"),
        version=version,
        connection=Connection(
            kind="http",
            endpoint="https://desk.example/turn",
            secret_ref="desk-key",  # noqa: S106 - the name of a secret
            settings={"timeout": "10"},
        ),
    )


def assigned(name: str, version: int) -> Event:
    return VersionSetAssigned(agent_id=AGENT, name=name, version=version)


def unit_test(unit_test_id: UnitTestId = TEST, name: str = "Renews") -> Event:
    return UnitTestCreated(
        unit_test_id=unit_test_id,
        name=name,
        description="One loan",
        persona_id=PERSONA,
        scenario_id=SCENARIO,
        service_id=AGENT,
        service_version_set_name="release",
        max_interactions=10,
        success_criterions=[Criterion(metric_id=METRIC, operator=">=", value=2.0)],
        tags={},
    )


def spec(unit_test_id: UnitTestId, name: str, run_count: int) -> Spec:
    return Spec(
        unit_test_id=unit_test_id,
        name=name,
        persona_id=PERSONA,
        persona_version=1,
        scenario_id=SCENARIO,
        scenario_version=1,
        service_id=AGENT,
        service_version_set_name="release",
        service_version=1,
        max_interactions=10,
        success_criterions=[
            PinnedCriterion(
                metric_id=METRIC,
                metric_version=1,
                name="Polite",
                value_type="numeric",
                definition=TextMatch(mode="contains", pattern="please"),
                operator=">=",
                value=2.0,
            )
        ],
        run_count=run_count,
    )


def requested(run_id: SetRunId = RUN) -> Event:
    return SetRunRequested(
        run_id=run_id,
        set_id=SET,
        origin="imported",
        specs=[spec(TEST, "Renews", 2), spec(OTHER_TEST, "Returns", 1)],
        seed=2**63 - 1,
    )


def live() -> Event:
    return SetRunRequested(
        run_id=RUN, set_id=SET, origin="live", specs=[], seed=7, concurrency=8
    )


def pinned() -> Event:
    return SetRunPinned(
        run_id=RUN,
        set_id=SET,
        specs=[spec(TEST, "Renews", 2), spec(OTHER_TEST, "Returns", 1)],
        concurrency=8,
    )


def counted(
    outcome: Outcome, *, trial_id: TrialId = TRIAL, index: int = 0, run: SetRunId = RUN
) -> Event:
    return TrialCounted(
        run_id=run,
        trial_id=trial_id,
        unit_test_id=TEST,
        index=index,
        outcome=outcome,
        failed_metrics=[FAILED] if outcome == "failed" else [],
    )


def started(trial_id: TrialId = TRIAL, index: int = 0, *, run: SetRunId = RUN) -> Event:
    return TrialStarted(
        trial_id=trial_id, run_id=run, unit_test_id=TEST, index=index, external_id="t-1"
    )


def said(seq: int, text: str, *, subject_id: SubjectId | None = None) -> MessageAdded:
    return MessageAdded(
        conversation_id=TRIAL,
        seq=seq,
        role="user",
        speaker="Late reader",
        text=text,
        subject_id=subject_id,
    )


def called(seq: int, arguments: str, *, subject_id: SubjectId | None = None) -> Event:
    return ToolCalled(
        conversation_id=TRIAL,
        seq=seq,
        call_id="call-1",
        name="renew",
        arguments=arguments,
        subject_id=subject_id,
    )


def returned(seq: int, content: str, *, subject_id: SubjectId | None = None) -> Event:
    return ToolReturned(
        conversation_id=TRIAL,
        seq=seq,
        call_id="call-1",
        name="renew",
        content=content,
        subject_id=subject_id,
    )


def ended(entries: int) -> Event:
    return ConversationEnded(
        conversation_id=TRIAL, reason="agent_stop", entries=entries
    )


def finished(
    outcome: Outcome, *, trial_id: TrialId = TRIAL, index: int = 0
) -> TrialFinished:
    return TrialFinished(
        trial_id=trial_id,
        run_id=RUN,
        unit_test_id=TEST,
        index=index,
        outcome=outcome,
        metric_results=[PASSED, FAILED] if outcome == "failed" else [PASSED],
        reward=1.0 if outcome == "passed" else 0.0,
    )


def whole() -> list[Event]:
    """Return a whole story: everything made, one run of two trials, its artifact."""
    return [
        PERSONA_CREATED,
        persona_version(1),
        SCENARIO_CREATED,
        scenario_version(1),
        METRIC_CREATED,
        metric_version(1),
        AGENT_REGISTERED,
        agent_version(1),
        assigned("release", 1),
        unit_test(),
        unit_test(OTHER_TEST, "Returns"),
        SET_CREATED,
        requested(),
        counted("passed"),
        started(),
        said(1, "May I keep it, please?", subject_id=SUBJECT),
        called(2, '{"weeks": 2}', subject_id=SUBJECT),
        returned(3, "renewed"),
        ended(3),
        finished("passed"),
        counted("failed", trial_id=OTHER_TRIAL, index=1),
        started(OTHER_TRIAL, 1),
        finished("failed", trial_id=OTHER_TRIAL, index=1),
        ARTIFACT_GENERATED,
        RUN_COMPLETED,
    ]
