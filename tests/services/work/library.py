"""A library desk whose agent goes by a policy: everything that a live run needs."""

from typing import Final
from uuid import UUID

from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    SetRunId,
    UnitTestId,
    UnitTestSetId,
)
from events.message import Command
from services.testing.agents import Connection, RegisterAgent
from services.testing.metrics import Assertion, CreateMetric, TextMatch
from services.testing.personas import CreatePersona
from services.testing.scenarios import CreateScenario, InitialMessage
from services.testing.set_runs import StartSetRun
from services.testing.unit_test_sets import CreateUnitTestSet, UnitTestEntry
from services.testing.unit_tests import CreateUnitTest, Criterion


POLICY: Final = """# Library desk

## Renew a loan
The agent must first obtain the card number and the title of the book.
Before a loan is renewed, list the details and obtain explicit confirmation.
A loan can be renewed once.

## Waive a fee
A fee for a lost book cannot be waived.
A late fee can be waived if the reader was ill.
"""

AGENT: Final = AgentId(UUID(int=104))
SET: Final = UnitTestSetId(UUID(int=107))
RUN: Final = SetRunId(UUID(int=108))
MENTIONS: Final = MetricId(UUID(int=103))
REFUSES: Final = MetricId(UUID(int=113))

LOST_BOOK: Final = ScenarioId(UUID(int=301))

STYLES: Final = ("cooperative", "terse", "typo-prone", "impatient", "rambling")


def personas() -> list[Command]:
    return [
        CreatePersona(
            persona_id=PersonaId(UUID(int=200 + place)),
            name=f"Reader {style}",
            role="reader",
            background="You are Mira Holm. Your card number is LC2041.",
            tags={"style": style},
        )
        for place, style in enumerate(STYLES)
    ]


def scenarios() -> list[Command]:
    return [
        CreateScenario(
            scenario_id=LOST_BOOK,
            name="A lost book",
            objective="You want the fee for a lost book waived.",
            instructions="If the agent tells you that it is not possible, say that you "
            "were ill.",
            initial_message=InitialMessage(
                kind="user_message", text="Hello, I lost a book and there is a fee."
            ),
        ),
        CreateScenario(
            scenario_id=ScenarioId(UUID(int=302)),
            name="One more week",
            objective="You want to renew the loan of the book Winter Birds.",
            instructions="You would like a confirmation.",
            initial_message=InitialMessage(kind="skip"),
        ),
        CreateScenario(
            scenario_id=ScenarioId(UUID(int=303)),
            name="A reminder",
            objective="You want to renew the loan of the book Winter Birds.",
            instructions="You would like a confirmation.",
            initial_message=InitialMessage(
                kind="external_event", text="The reader opens a reminder."
            ),
        ),
    ]


def metrics() -> list[Command]:
    return [
        CreateMetric(
            metric_id=MENTIONS,
            name="mentions the fee or the loan",
            value_type="boolean",
            definition=TextMatch(mode="regex", pattern="fee|loan|renew"),
        ),
        CreateMetric(
            metric_id=REFUSES,
            name="refuses",
            value_type="boolean",
            definition=Assertion(text="Agent should refuse to waive the fee."),
        ),
    ]


def agent(**settings: str) -> RegisterAgent:
    return RegisterAgent(
        agent_id=AGENT,
        name="Desk",
        connection=Connection(kind="rules", settings=settings or {"policy": POLICY}),
    )


def unit_test(place: int) -> UnitTestId:
    return UnitTestId(UUID(int=400 + place))


def a_live_test(place: int, *, max_interactions: int = 6) -> CreateUnitTest:
    scenario = 301 + place % 3
    metric = REFUSES if scenario == 301 else MENTIONS
    return CreateUnitTest(
        unit_test_id=unit_test(place),
        name=f"Test {place}",
        persona_id=PersonaId(UUID(int=200 + place % len(STYLES))),
        scenario_id=ScenarioId(UUID(int=scenario)),
        service_id=AGENT,
        max_interactions=max_interactions,
        success_criterions=[Criterion(metric_id=metric, operator="==", value=True)],
    )


def a_live_set(tests: int, *, trials: int = 1) -> CreateUnitTestSet:
    return CreateUnitTestSet(
        set_id=SET,
        name="Desk",
        unit_tests=[
            UnitTestEntry(unit_test_id=unit_test(place), run_count=trials)
            for place in range(tests)
        ],
    )


def library(tests: int = 3, *, trials: int = 1) -> list[Command]:
    return [
        *personas(),
        *scenarios(),
        *metrics(),
        agent(),
        *(a_live_test(place) for place in range(tests)),
        a_live_set(tests, trials=trials),
    ]


A_LIVE_RUN: Final = StartSetRun(run_id=RUN, set_id=SET, origin="live", seed=7)
