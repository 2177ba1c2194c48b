"""Live runs from their start to their reports, over a log and work in memory."""

from hashlib import sha256
from uuid import UUID
from xml.etree import ElementTree as ET

import msgspec
import pytest
from msgspec.structs import replace

from events.conversation import ConversationEnded, MessageAdded
from events.ids import SetRunId
from events.message import Command
from events.testing.set_runs import (
    ArtifactGenerated,
    SetRunCompleted,
    SetRunFailed,
    SetRunPinned,
    TrialCounted,
)
from events.testing.trials import TrialFinished, TrialStarted
from services.testing.agents import AssignVersionSet, ConfigureAgent, Connection
from services.testing.scenarios import AddScenarioVersion, InitialMessage
from services.testing.set_runs import CancelSetRun, RetryErroredTrials
from services.testing.unit_test_sets import ChangeUnitTestSet
from services.testing.unit_tests import ChangeUnitTest
from tests.services.work.floor import TTL, Floor
from tests.services.work.library import (
    A_LIVE_RUN,
    AGENT,
    LOST_BOOK,
    POLICY,
    RUN,
    SET,
    library,
    unit_test,
)


RELEASE = AssignVersionSet(agent_id=AGENT, name="release", version=2)


def released(change: Command) -> list[Command]:
    """Return what releases a configuration, if the change is one."""
    return [RELEASE] if isinstance(change, ConfigureAgent) else []


async def held(
    *changes: Command, tests: int = 3, workers: int = 1, seed: int = 7
) -> Floor:
    """Return a system in which a live run is completed."""
    floor = Floor(workers=workers)
    await floor.ask(*library(tests), *changes, replace(A_LIVE_RUN, seed=seed))
    await floor.settle()
    return floor


async def verdicts(floor: Floor) -> dict[tuple[UUID, int], TrialFinished]:
    """Return how each trial was finished, the last attempt of each."""
    finished = await floor.events(TrialFinished)
    return {(trial.unit_test_id, trial.index): trial for trial in finished}


async def outcomes(floor: Floor) -> list[tuple[str, str | None]]:
    """Return outcome and fault of every trial in the order of the unit tests."""
    found = await verdicts(floor)
    return [(found[key].outcome, found[key].fault) for key in sorted(found)]


async def reasons(floor: Floor) -> list[str]:
    """Return why the conversations ended."""
    return [ended.reason for ended in await floor.events(ConversationEnded)]


async def test_a_live_run_is_pinned_held_judged_and_completed() -> None:
    floor = await held()
    (pinned,) = await floor.events(SetRunPinned)
    assert [spec.service_version for spec in pinned.specs] == [1, 1, 1]
    assert len(await verdicts(floor)) == 3
    assert len(await floor.events(TrialCounted)) == 3
    (completed,) = await floor.events(SetRunCompleted)
    assert completed.passed + completed.failed + completed.inconclusive == 3


async def test_a_refusal_that_is_asserted_is_found() -> None:
    trial = (await verdicts(await held()))[unit_test(0), 0]
    (result,) = trial.metric_results
    assert (trial.outcome, result.engine) == ("passed", "rules/1")
    assert result.references


async def test_who_speaks_first_follows_the_scenario() -> None:
    floor = await held()
    first = {
        message.conversation_id: (message.role, message.engine)
        for message in reversed(await floor.events(MessageAdded))
    }
    found = await verdicts(floor)
    assert [first[found[unit_test(place), 0].trial_id] for place in range(3)] == [
        ("user", "rules/1"),
        ("assistant", "rules/1"),
        ("system", "scenario"),
    ]


async def test_every_word_says_who_made_it() -> None:
    assert {
        message.engine for message in await (await held()).events(MessageAdded)
    } == {
        "rules/1",
        "scenario",
    }


async def test_the_same_seed_says_the_same_whatever_the_workers() -> None:
    alone = await held(tests=50)
    together = await held(tests=50, workers=7)
    assert len(await alone.transcripts()) == 50
    assert msgspec.json.encode(
        await alone.transcripts(), order="deterministic"
    ) == msgspec.json.encode(await together.transcripts(), order="deterministic")
    assert await verdicts(alone) == await verdicts(together)
    assert await contents(alone) == await contents(together)


async def test_another_seed_says_something_else() -> None:
    one, other = await held(tests=5), await held(tests=5, seed=8)
    assert await one.transcripts() != await other.transcripts()


@pytest.mark.parametrize("commands", range(0, 24, 3))
async def test_a_killed_worker_s_trial_goes_on_after_what_is_recorded(
    commands: int,
) -> None:
    undisturbed = await held()
    floor = Floor(workers=2)
    await floor.ask(*library(), A_LIVE_RUN)
    floor.kill_after = commands
    await floor.settle()
    floor.kill_after = None
    floor.later(TTL.total_seconds())
    await floor.settle()
    assert await floor.transcripts() == await undisturbed.transcripts()
    assert await verdicts(floor) == await verdicts(undisturbed)
    assert len(await floor.events(TrialStarted)) == 3
    assert len(await floor.events(TrialFinished)) == 3
    assert len(await floor.events(TrialCounted)) == 3
    assert len(await floor.events(SetRunCompleted)) == 1


@pytest.mark.parametrize("others_work", [True, False])
@pytest.mark.parametrize("commands", range(0, 24, 3))
async def test_a_worker_that_wakes_after_its_lease_changes_nothing(
    commands: int, *, others_work: bool
) -> None:
    undisturbed = await held()
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)
    floor.pause_after, floor.others_work = commands, others_work
    await floor.settle()
    assert floor.refused == (0 if others_work else 1)
    floor.later(TTL.total_seconds())
    await floor.settle()
    assert await floor.transcripts() == await undisturbed.transcripts()
    assert await verdicts(floor) == await verdicts(undisturbed)
    assert len(await floor.events(TrialStarted)) == 3
    assert len(await floor.events(TrialFinished)) == 3
    assert len(await floor.events(SetRunCompleted)) == 1


async def test_no_more_trials_are_held_at_a_time_than_the_run_allows() -> None:
    floor = Floor(workers=6)
    await floor.ask(*library(9), replace(A_LIVE_RUN, concurrency=2))
    await floor.settle()
    assert floor.most_held == 2
    assert len(await verdicts(floor)) == 9


async def test_the_run_may_say_how_many_trials_it_holds() -> None:
    floor = Floor()
    await floor.ask(*library(2), replace(A_LIVE_RUN, trials=3))
    await floor.settle()
    assert len(await verdicts(floor)) == 6
    told = {trial.trial_id: trial.index for trial in await floor.events(TrialStarted)}
    assert sorted(told.values()) == [0, 0, 1, 1, 2, 2]


async def test_a_cancelled_run_holds_no_more_trials() -> None:
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)
    await floor.react()
    await floor.do()
    await floor.react()
    await floor.ask(CancelSetRun(run_id=RUN, reason="Wrong set"))
    await floor.settle()
    assert await floor.events(SetRunPinned)
    assert not await floor.events(TrialStarted)
    await floor.ask(replace(A_LIVE_RUN, run_id=SetRunId(UUID(int=9))))


async def test_what_is_finished_after_a_cancellation_does_not_count() -> None:
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)
    await floor.react()
    await floor.do()
    await floor.react()
    await floor.do()
    await floor.ask(CancelSetRun(run_id=RUN, reason="Wrong set"))
    await floor.settle()
    assert len(await floor.events(TrialFinished)) == 3
    assert not await floor.events(TrialCounted)


async def test_a_later_version_does_not_touch_a_run_that_is_pinned() -> None:
    floor = Floor()
    await floor.ask(*library(), A_LIVE_RUN)
    await floor.react()
    await floor.do()
    await floor.ask(
        ConfigureAgent(
            agent_id=AGENT,
            connection=Connection(kind="rules", settings={"policy": "Say nothing."}),
        )
    )
    await floor.settle()
    assert await floor.transcripts() == await (await held()).transcripts()


async def test_an_agent_without_its_policy_is_the_target_s_fault() -> None:
    missing = Connection(kind="rules", settings={"policy_sha256": "0" * 64})
    floor = await held(ConfigureAgent(agent_id=AGENT, connection=missing), RELEASE)
    assert await outcomes(floor) == [("errored", "target")] * 3
    assert await reasons(floor) == ["target_fault"] * 3


async def test_only_what_broke_off_is_held_again() -> None:
    floor, policy = Floor(), POLICY.encode()
    settings = {"policy_sha256": sha256(policy).hexdigest()}
    blob = Connection(kind="rules", settings=settings)
    await floor.ask(
        *library(), ConfigureAgent(agent_id=AGENT, connection=blob), RELEASE
    )
    await floor.ask(A_LIVE_RUN)
    await floor.settle()
    assert await outcomes(floor) == [("errored", "target")] * 3
    await floor.blobs.put(policy, media_type="text/markdown")
    await floor.ask(RetryErroredTrials(run_id=RUN))
    await floor.settle()
    again = await verdicts(floor)
    assert {trial.attempt for trial in again.values()} == {2}
    assert {trial.fault for trial in again.values()} == {None}
    assert len(await floor.events(TrialFinished)) == 6
    first, last = await floor.events(SetRunCompleted)
    assert (first.errored, last.errored) == (3, 0)
    told, expected = await floor.transcripts(), await held()
    assert sorted(told[str(trial.trial_id)] for trial in again.values()) == sorted(
        (await expected.transcripts()).values()
    )
    assert sorted(await contents(floor)) == [
        "junit-2.xml",
        "junit.xml",
        "results-2.json",
        "results.json",
    ]


async def test_a_user_who_speaks_as_the_agent_is_the_simulator_s_fault() -> None:
    opening = InitialMessage(kind="user_message", text="How can I help you?")
    floor = await held(
        AddScenarioVersion(scenario_id=LOST_BOOK, initial_message=opening), tests=1
    )
    assert await outcomes(floor) == [("errored", "simulator")]
    assert await reasons(floor) == ["simulator_fault"]
    assert not await floor.events(MessageAdded)


async def test_a_trial_that_can_never_be_recorded_is_our_own_fault() -> None:
    floor = Floor()
    await floor.ask(*library(1), A_LIVE_RUN)
    floor.away = True
    await floor.settle()
    assert await outcomes(floor) == [("errored", "ourselves")]
    (counted,) = await floor.events(TrialCounted)
    assert (counted.error or "").startswith("After 8 attempts: ")
    assert await floor.events(SetRunCompleted)


@pytest.mark.parametrize(
    ("on_limit", "outcome"), [("fail", "failed"), ("evaluate", "passed")]
)
async def test_the_limit_fails_a_trial_unless_the_criteria_are_to_judge(
    on_limit: str, outcome: str
) -> None:
    limited = ChangeUnitTest(
        unit_test_id=unit_test(0),
        max_interactions=1,
        on_limit="fail" if on_limit == "fail" else "evaluate",
    )
    floor = await held(limited, tests=1)
    assert await reasons(floor) == ["max_interactions"]
    assert await outcomes(floor) == [(outcome, None)]
    assert [message.role for message in await floor.events(MessageAdded)] == [
        "user",
        "assistant",
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ChangeUnitTestSet(set_id=SET, unit_tests=[]), "The set has no unit test."),
        (
            ConfigureAgent(agent_id=AGENT, connection=Connection(kind="recorded")),
            "A recorded agent is known by its recordings only; it cannot run.",
        ),
        (
            ConfigureAgent(
                agent_id=AGENT,
                connection=Connection(kind="http", endpoint="https://desk.example/"),
            ),
            "Agents of kind http cannot be run yet, only those of kind rules.",
        ),
    ],
)
async def test_a_run_that_cannot_be_pinned_fails_and_says_why(
    change: Command, reason: str
) -> None:
    floor = Floor()
    await floor.ask(*library(), change, *released(change), A_LIVE_RUN)
    await floor.settle()
    (failed,) = await floor.events(SetRunFailed)
    assert failed.reason.startswith(reason)
    assert not await floor.events(TrialStarted)
    await floor.ask(replace(A_LIVE_RUN, run_id=SetRunId(UUID(int=9))))


async def contents(floor: Floor) -> dict[str, bytes]:
    """Return the reports that are attached to the run."""
    return {
        artifact.name: await floor.blobs.get(artifact.sha256)
        for artifact in await floor.events(ArtifactGenerated)
    }


async def test_a_completed_run_has_its_reports() -> None:
    floor = await held()
    reports = await contents(floor)
    told = msgspec.json.decode(reports["results.json"])
    assert (told["status"], told["passed"]) == ("completed", 1)
    assert [len(test["trials"]) for test in told["unit_tests"]] == [1, 1, 1]
    suites = ET.fromstring(reports["junit.xml"])  # noqa: S314 - our own report
    assert suites.attrib["tests"] == "3"
    assert [suite.attrib["failures"] for suite in suites] == ["0", "1", "1"]
