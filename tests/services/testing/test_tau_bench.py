"""Recorded trajectories become commands that say what the file says."""

from typing import Any, TypeVar

import msgspec
import pytest

from events.errors import Malformed, TooLarge
from events.message import Command
from services.routing import COMMANDS
from services.testing.agents import RegisterAgent
from services.testing.personas import CreatePersona
from services.testing.scenarios import CreateScenario
from services.testing.set_runs import AttachArtifact, RecordTrial, StartSetRun
from services.testing.tau_bench import Plan, plan
from services.testing.tau_bench_records import Record
from services.testing.trials import Message, ToolCall, ToolResult
from services.testing.unit_test_sets import CreateUnitTestSet
from services.testing.unit_tests import CreateUnitTest


C = TypeVar("C", bound=Command)
Raw = dict[str, Any]

SYSTEM: Raw = {"role": "system", "content": "# Desk Policy\n\nBe kind."}
ASKED: Raw = {"role": "user", "content": "Renew it."}
CALLED: Raw = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "renew_loan", "arguments": '{"loan": "L-1"}'},
        }
    ],
}
RETURNED: Raw = {
    "role": "tool",
    "tool_call_id": "call_1",
    "name": "renew_loan",
    "content": "Renewed.",
}
THANKED: Raw = {"role": "user", "content": "Thanks. ###STOP###"}
TRAJECTORY = [SYSTEM, ASKED, CALLED, RETURNED, THANKED]


def a_record(task: int | str = 0, trial: int = 0, **changes: object) -> Raw:
    return {
        "task_id": task,
        "trial": trial,
        "reward": 1.0,
        "info": {
            "task": {
                "user_id": f"reader_{task}",
                "instruction": f"You are reader_{task} and renew a loan.",
                "actions": [{"name": "renew_loan", "kwargs": {"loan": "L-1"}}],
                "outputs": [],
            },
            "source": "user",
            "user_cost": 0.1,
        },
        "traj": TRAJECTORY,
        **changes,
    }


def planned(
    records: list[Raw],
    *,
    org_id: str = "acme",
    sha256: str = "ab" * 32,
    agent: str | None = None,
) -> Plan:
    return plan(
        msgspec.convert(records, list[Record]),
        org_id=org_id,
        sha256=sha256,
        agent=agent,
    )


def all_of(kind: type[C], asked: Plan) -> list[C]:
    return [command for _, command in asked.commands if isinstance(command, kind)]


def entries_of(*turns: Raw) -> list[Message | ToolCall | ToolResult]:
    (trial,) = all_of(RecordTrial, planned([a_record(traj=list(turns))]))
    return trial.entries


def test_every_entry_of_a_trajectory_becomes_one_entry() -> None:
    assert entries_of(*TRAJECTORY) == [
        Message(role="system", text="# Desk Policy\n\nBe kind."),
        Message(role="user", text="Renew it."),
        ToolCall(call_id="call_1", name="renew_loan", arguments='{"loan": "L-1"}'),
        ToolResult(call_id="call_1", name="renew_loan", content="Renewed."),
        Message(role="user", text="Thanks. ###STOP###"),
    ]


def test_what_is_said_with_a_tool_call_is_kept() -> None:
    (call,) = entries_of({**CALLED, "content": "One moment."})
    assert isinstance(call, ToolCall)
    assert call.text == "One moment."


def test_several_calls_in_one_entry_are_several_entries() -> None:
    first = CALLED["tool_calls"][0]
    calls = [first, {**first, "id": "call_2"}]
    one, two = entries_of({**CALLED, "content": "Both.", "tool_calls": calls})
    assert isinstance(one, ToolCall)
    assert isinstance(two, ToolCall)
    assert (one.call_id, one.text) == ("call_1", "Both.")
    assert (two.call_id, two.text) == ("call_2", None)


def test_a_tools_answer_without_a_name_has_that_of_its_call() -> None:
    nameless = {name: RETURNED[name] for name in RETURNED if name != "name"}
    assert entries_of(CALLED, nameless) == entries_of(CALLED, RETURNED)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (TRAJECTORY, "user_stopped"),
        (TRAJECTORY[:4], "tool_ended"),
        (TRAJECTORY[:2], "ended"),
        ([], "ended"),
    ],
)
def test_the_last_entry_shows_how_a_trial_ended(turns: list[Raw], reason: str) -> None:
    (trial,) = all_of(RecordTrial, planned([a_record(traj=turns)]))
    assert trial.end_reason == reason


def test_a_file_becomes_things_one_run_its_trials_and_an_artifact() -> None:
    asked = planned([a_record(task, trial) for trial in (0, 1) for task in (0, "b")])

    assert [persona.name for persona in all_of(CreatePersona, asked)] == [
        "reader_0",
        "reader_b",
    ]
    assert [scenario.external_id for scenario in all_of(CreateScenario, asked)] == [
        "0",
        "b",
    ]
    (agent,) = all_of(RegisterAgent, asked)
    assert (agent.name, agent.connection.kind) == ("Desk Policy", "recorded")
    (unit_tests,) = all_of(CreateUnitTestSet, asked)
    assert [entry.run_count for entry in unit_tests.unit_tests] == [2, 2]
    (run,) = all_of(StartSetRun, asked)
    assert [spec.run_count for spec in run.specs] == [2, 2]
    assert [
        (trial.external_id, trial.index) for trial in all_of(RecordTrial, asked)
    ] == [("0/0", 0), ("0/1", 1), ("b/0", 0), ("b/1", 1)]
    (artifact,) = all_of(AttachArtifact, asked)
    assert artifact.size == len(asked.results)
    assert (asked.tasks, asked.trials, asked.entries) == (2, 4, 20)


def test_customers_with_several_tasks_are_one_persona() -> None:
    records = [a_record(0), a_record(1)]
    records[1]["info"]["task"]["user_id"] = "reader_0"
    asked = planned(records)

    (persona,) = all_of(CreatePersona, asked)
    assert {test.persona_id for test in all_of(CreateUnitTest, asked)} == {
        persona.persona_id
    }
    assert asked.personas == 1


def test_trials_are_indexed_in_the_order_of_their_numbers() -> None:
    asked = planned([a_record(0, 7), a_record(0, 3), a_record(0, 5)])
    assert [
        (trial.external_id, trial.index) for trial in all_of(RecordTrial, asked)
    ] == [("0/3", 0), ("0/5", 1), ("0/7", 2)]


def test_every_command_could_have_come_from_outside() -> None:
    for _, command in planned([a_record(0), a_record(1)]).commands:
        raw = msgspec.json.encode(command)
        assert type(command) in COMMANDS.values()
        assert msgspec.json.decode(raw, type=type(command)) == command


def test_the_same_file_gives_the_same_commands_once_each() -> None:
    records = [a_record(0), a_record(1)]

    assert planned(records) == planned(records)
    ids = [command_id for command_id, _ in planned(records).commands]
    assert len(set(ids)) == len(ids)


def test_organisations_share_no_identifier() -> None:
    mine = {command_id for command_id, _ in planned([a_record()]).commands}
    theirs = {
        command_id for command_id, _ in planned([a_record()], org_id="other").commands
    }
    assert not mine & theirs


def test_another_file_about_the_same_tasks_is_another_run_of_the_same_set() -> None:
    first = planned([a_record(0), a_record(1)])
    second = planned([a_record(0, reward=0.0), a_record(1)], sha256="cd" * 32)

    assert first.set_id == second.set_id
    assert first.run_id != second.run_id
    before = {command_id for command_id, _ in first.commands}
    new = [
        command for command_id, command in second.commands if command_id not in before
    ]
    assert {type(command) for command in new} == {
        StartSetRun,
        RecordTrial,
        AttachArtifact,
    }


def test_another_agent_has_unit_tests_and_runs_of_its_own() -> None:
    one, two = planned([a_record()], agent="One"), planned([a_record()], agent="Two")

    assert (one.agent, two.agent) == ("One", "Two")
    assert one.set_id != two.set_id
    assert one.run_id != two.run_id
    assert all_of(CreatePersona, one) == all_of(CreatePersona, two)


def test_rates_count_rewards_of_one() -> None:
    rewards = {(0, 0): 1.0, (0, 1): 0.9999999, (1, 0): 0.5, (1, 1): 1.0}
    asked = planned([a_record(*key, reward=value) for key, value in rewards.items()])

    assert asked.rate.value == 0.75
    assert [estimate.value for estimate in asked.pass_hat] == [0.75, 0.5]
    assert [estimate.value for estimate in asked.pass_at] == [0.75, 1.0]


def test_a_trial_that_broke_down_keeps_its_error_and_does_not_pass() -> None:
    broken = a_record(0, 1, info={"error": "Timed out. " * 1000}, traj=[], reward=1.0)
    asked = planned([a_record(0, 0), broken])

    _, trial = all_of(RecordTrial, asked)
    assert trial.error is not None
    assert len(trial.error) == 4096
    assert (trial.entries, trial.end_reason) == ([], "error")
    assert asked.pass_hat[0].value == 0.5


def test_the_results_say_what_was_wanted_and_what_came_out() -> None:
    asked = planned([a_record(0, trial, reward=float(trial)) for trial in (0, 1)])
    results = msgspec.json.decode(asked.results)

    (task,) = results["tasks"]
    assert task["actions"] == [{"name": "renew_loan", "kwargs": {"loan": "L-1"}}]
    assert [trial["passed"] for trial in task["trials"]] == [False, True]
    assert results["pass_hat_k"]["1"]["value"] == 0.5


def test_an_agent_without_a_prompt_is_named_plainly() -> None:
    assert planned([a_record(traj=[ASKED])]).agent == "Recorded agent"
    long = {"role": "system", "content": "## " + "Very long policy " * 20}
    assert len(planned([a_record(traj=[long])]).agent) <= 80


UNEVEN = [a_record(0, 0), a_record(0, 1), a_record(1, 0)]
OTHER_TASK = a_record(0, 1)
OTHER_TASK["info"] = {"task": {"user_id": "somebody", "instruction": "Else."}}


@pytest.mark.parametrize(
    ("records", "words", "path"),
    [
        ([], "holds no records", "$"),
        ([a_record(), a_record()], "task 0, trial 0 is also record 0", "$[1].trial"),
        ([a_record(0), a_record("0")], "is also record 0", "$[1].trial"),
        (UNEVEN, "task 1 has 1 trials, task 0 has 2", "$[2].trial"),
        ([a_record(info={})], "missing required field `task`", "$[0].info.task"),
        (
            [a_record(info={"error": "x"})],
            "no record says what task 0 is",
            "$[0].info.task",
        ),
        ([a_record(), OTHER_TASK], "another one", "$[1].info.task"),
        (
            [a_record(traj=[{"role": "tool", "content": "x"}])],
            "`tool_call_id`",
            "$[0].traj[0].tool_call_id",
        ),
        (
            [a_record(traj=[ASKED, {"role": "tool", "tool_call_id": "c"}])],
            "`name` of the tool",
            "$[0].traj[1].name",
        ),
        (
            [a_record(traj=[{**CALLED, "role": "user"}])],
            "only the assistant",
            "$[0].traj[0].tool_calls",
        ),
    ],
)
def test_a_bad_record_is_named(records: list[Raw], words: str, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        planned(records)
    assert words in str(refused.value).lower()
    assert refused.value.path == path


def test_more_tasks_than_a_run_can_hold_are_refused() -> None:
    with pytest.raises(TooLarge, match="501 tasks; a run has at most 500"):
        planned([a_record(task, traj=[]) for task in range(501)])
