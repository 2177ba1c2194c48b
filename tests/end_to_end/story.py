"""Commands that leave no column empty: a desk that is tested, and what came of it.

Everything that can be deleted is also deleted once. The run has a trial that passes,
one that fails, one that nobody can judge and one that broke off.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

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
from events.message import Command
from services.client.client import Client
from services.outcome import Outcome
from services.testing import agents, metrics, personas, scenarios
from services.testing.set_runs import (
    AttachArtifact,
    CancelSetRun,
    RecordTrial,
    StartSetRun,
)
from services.testing.specs import PinnedCriterion, Spec
from services.testing.trials import AnyEntry, Message, ToolCall, ToolResult
from services.testing.unit_test_sets import (
    ChangeUnitTestSet,
    CreateUnitTestSet,
    DeleteUnitTestSet,
    UnitTestEntry,
)
from services.testing.unit_tests import (
    ChangeUnitTest,
    CreateUnitTest,
    Criterion,
    DeleteUnitTest,
)
from tests.builders import new_id


REPORT: Final = b"trial,outcome\n1,passed\n2,failed\n"
MATCH: Final = metrics.TextMatch(pattern="renewed", mode="contains", role="assistant")


@dataclass(kw_only=True)
class Story:
    """The identifiers of what a story is about."""

    persona: PersonaId = field(default_factory=lambda: PersonaId(new_id()))
    scenario: ScenarioId = field(default_factory=lambda: ScenarioId(new_id()))
    said: MetricId = field(default_factory=lambda: MetricId(new_id()))
    reward: MetricId = field(default_factory=lambda: MetricId(new_id()))
    agent: AgentId = field(default_factory=lambda: AgentId(new_id()))
    unit_test: UnitTestId = field(default_factory=lambda: UnitTestId(new_id()))
    unit_test_set: UnitTestSetId = field(
        default_factory=lambda: UnitTestSetId(new_id())
    )
    run: SetRunId = field(default_factory=lambda: SetRunId(new_id()))
    later_run: SetRunId = field(default_factory=lambda: SetRunId(new_id()))


async def tell(client: Client) -> Story:
    """Send a story's commands in order, and return what it was about."""
    story = Story()
    sha256 = await client.put_blob(REPORT, media_type="text/csv")
    for command in (
        *people(story),
        *requests(story),
        *measures(story),
        *tested(story),
        *collected(story),
        *ran(story),
        attached(story, sha256),
        StartSetRun(
            run_id=story.later_run, set_id=story.unit_test_set, specs=[spec(story)]
        ),
        CancelSetRun(run_id=story.later_run, reason="The desk is closed."),
    ):
        outcome: Outcome = await client.send(command)
        assert outcome.status == "ok", command
        assert outcome.events, command
    return story


def people(story: Story) -> list[Command]:
    """Return the commands of a persona that stays and of one that goes."""
    unwanted = PersonaId(new_id())
    return [
        personas.CreatePersona(
            persona_id=story.persona,
            name="Late reader",
            role="borrower",
            background="Has a book that is due.",
            preferred_language="nl-BE",
            timezone="Europe/Brussels",
            tags={"desk": "loans"},
            external_id="p-1",
        ),
        personas.AddPersonaVersion(
            persona_id=story.persona, background="Has two books that are due."
        ),
        personas.ChangePersonaDetails(persona_id=story.persona, name="Later reader"),
        personas.CreatePersona(
            persona_id=unwanted, name="By mistake", role="nobody", background=""
        ),
        personas.DeletePersona(persona_id=unwanted),
    ]


def requests(story: Story) -> list[Command]:
    """Return the commands of a scenario that stays and of one that goes."""
    unwanted = ScenarioId(new_id())
    return [
        scenarios.CreateScenario(
            scenario_id=story.scenario,
            name="Renew a loan",
            objective="Keep the book.",
            instructions="Ask to renew.",
            initial_message=scenarios.InitialMessage(
                kind="user_message",
                text="Can I keep it?",
                starts_at=datetime(2031, 3, 4, 10, tzinfo=UTC),
            ),
            tags=["loans"],
            external_id="s-1",
        ),
        scenarios.AddScenarioVersion(
            scenario_id=story.scenario, instructions="Ask to renew both."
        ),
        scenarios.CreateScenario(
            scenario_id=unwanted, name="By mistake", objective="", instructions=""
        ),
        scenarios.DeleteScenario(scenario_id=unwanted),
    ]


def measures(story: Story) -> list[Command]:
    """Return the commands of two metrics and of the agent."""
    recorded = agents.Connection(kind="recorded", settings={"model": "desk/1"})
    return [
        metrics.CreateMetric(
            metric_id=story.said,
            name="Says that it renewed",
            value_type="boolean",
            definition=MATCH,
        ),
        metrics.CreateMetric(
            metric_id=story.reward,
            name="Reward",
            value_type="numeric",
            minimum=0.0,
            maximum=1.0,
            definition=metrics.RecordedReward(),
        ),
        agents.RegisterAgent(
            agent_id=story.agent,
            name="Library desk",
            connection=agents.Connection(kind="recorded"),
            description="Answers readers.",
        ),
        agents.ConfigureAgent(agent_id=story.agent, connection=recorded),
        agents.AssignVersionSet(agent_id=story.agent, name="release", version=2),
    ]


def tested(story: Story) -> list[Command]:
    """Return the commands of a unit test that stays and of one that goes."""
    unwanted = UnitTestId(new_id())
    criteria = [
        Criterion(metric_id=story.said, operator="==", value=True),
        Criterion(metric_id=story.reward, operator=">=", value=1.0),
    ]

    def create(unit_test: UnitTestId, name: str) -> CreateUnitTest:
        return CreateUnitTest(
            unit_test_id=unit_test,
            name=name,
            description="A reader renews.",
            persona_id=story.persona,
            scenario_id=story.scenario,
            service_id=story.agent,
            success_criterions=criteria,
            max_interactions=12,
            tags={"smoke": None},
            external_id="u-1",
        )

    return [
        create(story.unit_test, "Renews"),
        ChangeUnitTest(unit_test_id=story.unit_test, name="Renews a loan"),
        create(unwanted, "By mistake"),
        DeleteUnitTest(unit_test_id=unwanted),
    ]


def collected(story: Story) -> list[Command]:
    """Return the commands of a set that stays and of one that goes."""
    unwanted = UnitTestSetId(new_id())
    return [
        CreateUnitTestSet(
            set_id=story.unit_test_set,
            name="Desk",
            unit_tests=[UnitTestEntry(unit_test_id=story.unit_test, run_count=4)],
            tags={"desk": "loans"},
        ),
        ChangeUnitTestSet(set_id=story.unit_test_set, description="All of the desk."),
        CreateUnitTestSet(set_id=unwanted, name="By mistake", unit_tests=[]),
        DeleteUnitTestSet(set_id=unwanted),
    ]


def spec(story: Story) -> Spec:
    """Return what a run pins."""
    return Spec(
        unit_test_id=story.unit_test,
        name="Renews a loan",
        persona_id=story.persona,
        persona_version=2,
        scenario_id=story.scenario,
        scenario_version=2,
        service_id=story.agent,
        service_version_set_name="release",
        service_version=2,
        max_interactions=12,
        success_criterions=[
            PinnedCriterion(
                metric_id=story.said,
                metric_version=1,
                name="Says that it renewed",
                value_type="boolean",
                definition=MATCH,
                operator="==",
                value=True,
            ),
            PinnedCriterion(
                metric_id=story.reward,
                metric_version=1,
                name="Reward",
                value_type="numeric",
                definition=metrics.RecordedReward(),
                minimum=0.0,
                maximum=1.0,
                operator=">=",
                value=1.0,
            ),
        ],
        run_count=4,
    )


def ran(story: Story) -> list[Command]:
    """Return the commands of a run whose four trials end in four ways."""
    start = StartSetRun(
        run_id=story.run,
        set_id=story.unit_test_set,
        specs=[spec(story)],
        seed=7,
        external_id="r-1",
    )

    def trial(
        index: int, answer: str, reward: float | None, error: str | None = None
    ) -> RecordTrial:
        return RecordTrial(
            run_id=story.run,
            trial_id=TrialId(new_id()),
            unit_test_id=story.unit_test,
            index=index,
            entries=conversation(answer),
            end_reason="user_stop",
            reward=reward,
            error=error,
        )

    return [
        start,
        trial(0, "It is renewed.", 1.0),
        trial(1, "I cannot do that.", 0.0),
        trial(2, "It is renewed.", None),
        trial(3, "It is", 0.0, "The line was cut."),
    ]


def conversation(answer: str) -> list[AnyEntry]:
    """Return a conversation that ends with an answer."""
    return [
        Message(role="user", text="Can I keep it?", speaker="reader"),
        ToolCall(call_id="c1", name="renew_loan", arguments='{"loan": "L-1"}'),
        ToolResult(call_id="c1", name="renew_loan", content="until 2031-03-25"),
        Message(role="assistant", text=answer),
    ]


def attached(story: Story, sha256: str) -> AttachArtifact:
    """Return the command that attaches the report."""
    assert sha256 == hashlib.sha256(REPORT).hexdigest()
    return AttachArtifact(
        run_id=story.run,
        artifact_id=new_id(),
        name="report.csv",
        media_type="text/csv",
        sha256=sha256,
        size=len(REPORT),
    )
