"""The tasks of tau2 become commands that say what the file says."""

from typing import Any, TypeVar

import msgspec
import pytest

from events.errors import Malformed, TooLarge
from events.message import Command
from services.engines.dialogue.judging import judge
from services.engines.dialogue.turns import Turn
from services.routing import COMMANDS
from services.testing.agents import Connection, RegisterAgent
from services.testing.metrics import Assertion, CreateMetric
from services.testing.personas import CreatePersona
from services.testing.scenarios import CreateScenario
from services.testing.tau2 import Plan, Policy, plan, unwrapped
from services.testing.tau2_records import Task
from services.testing.unit_test_sets import CreateUnitTestSet
from services.testing.unit_tests import CreateUnitTest


C = TypeVar("C", bound=Command)
Raw = dict[str, Any]

POLICY = Policy(text="# Library Desk Policy\n\nBe kind.", sha256="cd" * 32)
KNOWN = "You are Ada Reader.\n\nYour user id is: 'ada_reader_1'."


def a_task(task: str = "0", *, known: str | None = KNOWN, **criteria: object) -> Raw:
    return {
        "id": task,
        "description": {"purpose": "Renew what may be renewed.", "notes": None},
        "user_scenario": {
            "persona": None,
            "instructions": {
                "task_instructions": "If the agent says no,\nmention the holiday.",
                "domain": "library",
                "reason_for_call": f"You want to renew loan L-{task}.",
                "known_info": known,
                "unknown_info": None,
            },
        },
        "initial_state": None,
        "evaluation_criteria": {
            "actions": [],
            "communicate_info": [],
            "nl_assertions": ["Agent should renew the loan."],
            "reward_basis": ["DB", "COMMUNICATE"],
            **criteria,
        },
        "annotations": None,
    }


def instructed(task: Raw, **instructions: object) -> Raw:
    told = task["user_scenario"]["instructions"] | instructions
    return task | {"user_scenario": {"persona": None, "instructions": told}}


def planned(
    *tasks: Raw,
    org_id: str = "acme",
    policy: Policy | None = POLICY,
    agent: str | None = None,
) -> Plan:
    return plan(
        msgspec.convert(list(tasks), list[Task]),
        org_id=org_id,
        policy=policy,
        agent=agent,
    )


def all_of(kind: type[C], asked: Plan) -> list[C]:
    return [command for _, command in asked.commands if isinstance(command, kind)]


def test_a_task_becomes_a_persona_a_scenario_metrics_a_test_and_a_set() -> None:
    asked = planned(a_task(communicate_info=["4"]))

    (persona,) = all_of(CreatePersona, asked)
    (scenario,) = all_of(CreateScenario, asked)
    metrics = all_of(CreateMetric, asked)
    (agent,) = all_of(RegisterAgent, asked)
    (test,) = all_of(CreateUnitTest, asked)
    (whole,) = all_of(CreateUnitTestSet, asked)
    assert persona.name == "Ada Reader (ada_reader_1)"
    assert persona.background == "You are Ada Reader.\nYour user id is: 'ada_reader_1'."
    assert persona.external_id == "ada_reader_1"
    assert scenario.objective == "You want to renew loan L-0."
    assert scenario.instructions == "If the agent says no, mention the holiday."
    assert scenario.initial_message.kind == "skip"
    assert [metric.definition for metric in metrics] == [
        Assertion(text="Agent should renew the loan."),
        Assertion(text="Agent communicates 4."),
    ]
    assert agent.name == "Library Desk Policy"
    assert agent.connection == Connection(
        kind="rules", settings={"policy_sha256": "cd" * 32}
    )
    assert (test.persona_id, test.scenario_id, test.service_id) == (
        persona.persona_id,
        scenario.scenario_id,
        agent.agent_id,
    )
    wanted = [(metric.metric_id, "==", True) for metric in metrics]
    criteria = test.success_criterions
    assert [(one.metric_id, one.operator, one.value) for one in criteria] == wanted
    assert test.tags == {"source": "tau2", "domain": "library"}
    assert [entry.unit_test_id for entry in whole.unit_tests] == [test.unit_test_id]
    assert (asked.tasks, asked.personas, asked.metrics) == (1, 1, 2)
    assert (asked.assertions, asked.communications) == (1, 1)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("You may take 4 books.", True),
        ("You may take 14 books.", False),
        ("You may take some books.", False),
    ],
)
def test_a_fact_to_communicate_is_judged_by_its_exact_value(
    said: str,
    told: bool,  # noqa: FBT001 - a case
) -> None:
    (_, metric) = all_of(CreateMetric, planned(a_task(communicate_info=["4."])))
    assert isinstance(metric.definition, Assertion)
    judged = judge(metric.definition.text, [Turn(1, "assistant", said)])
    assert judged.value is told


def test_every_command_could_be_sent_as_it_is() -> None:
    asked = planned(
        a_task("x" * 1_000, known="You are " + "Very " * 1_000),
        instructed(a_task("1"), reason_for_call="Renew it. " * 3_000),
        agent="Desk " * 40,
        policy=None,
    )
    for _, command in asked.commands:
        assert type(command) in COMMANDS.values()
        again = msgspec.json.decode(msgspec.json.encode(command), type=type(command))
        assert again == command


def test_the_same_file_gives_the_same_commands() -> None:
    tasks = [a_task("0"), a_task("1", known="You are Bo.")]

    one, same = planned(*tasks), planned(*tasks)
    assert one == same
    assert len({key for key, _ in one.commands}) == len(one.commands)
    other = planned(*tasks, org_id="zeta")
    assert not {key for key, _ in one.commands} & {key for key, _ in other.commands}


def test_who_knows_the_same_is_one_persona() -> None:
    asked = planned(
        a_task("0"),
        a_task("1", known=f"{KNOWN}\n"),
        a_task("2", known=f"{KNOWN} The loan is L-2."),
        instructed(a_task("3"), unknown_info="You do not know the loan."),
    )

    first, second, third, fourth = all_of(CreateUnitTest, asked)
    assert first.persona_id == second.persona_id
    assert len({first.persona_id, third.persona_id, fourth.persona_id}) == 3
    assert asked.personas == 3
    *_, unknowing = all_of(CreatePersona, asked)
    assert unknowing.background.endswith("\nYou do not know the loan.")


@pytest.mark.parametrize(
    ("known", "name", "external_id"),
    [
        ("Your name is Bo Li.\nYour user id is bo_li_2.", "Bo Li (bo_li_2)", "bo_li_2"),
        ("You are Bo Li.", "Bo Li", None),
        ("Your user id is 'bo_li_2'.", "bo_li_2", "bo_li_2"),
        ("You are busy.", "You are busy.", None),
        (" ", "Customer", None),
        (None, "Customer", None),
    ],
)
def test_a_persona_is_named_by_what_it_knows_of_itself(
    known: str | None, name: str, external_id: str | None
) -> None:
    (persona,) = all_of(CreatePersona, planned(a_task(known=known)))
    assert (persona.name, persona.external_id) == (name, external_id)


def test_a_persona_that_is_described_and_instructions_in_one_text_are_kept() -> None:
    task = a_task() | {
        "user_scenario": {"persona": "You are terse.", "instructions": "Renew L-0."}
    }
    asked = planned(task)

    (persona,) = all_of(CreatePersona, asked)
    (scenario,) = all_of(CreateScenario, asked)
    assert persona.background == "You are terse."
    assert (scenario.objective, scenario.instructions) == ("Renew L-0.", "Renew L-0.")


def test_the_same_assertion_is_one_metric() -> None:
    twice = ["Agent should renew the loan.", "Agent should  renew the loan."]
    asked = planned(a_task("0"), a_task("1", nl_assertions=twice))

    assert (asked.metrics, asked.assertions) == (1, 2)
    one, two = all_of(CreateUnitTest, asked)
    assert one.success_criterions == two.success_criterions


def test_what_rules_cannot_judge_is_counted_and_named() -> None:
    action: Raw = {
        "action_id": "0_0",
        "name": "renew_loan",
        "arguments": {},
        "info": None,
    }
    asked = planned(
        a_task("0", actions=[action, action], env_assertions=[{"func_name": "x"}]),
        a_task("1", reward_basis=["NL_ASSERTION"]) | {"initial_state": {"a": 1}},
        a_task("2", reward_basis=["DB", "DB"]) | {"ticket": "Renew it."},
    )

    assert asked.not_imported == {
        "reward_basis.DB": 2,
        "actions": 2,
        "env_assertions": 1,
        "initial_state": 1,
        "ticket": 1,
    }
    first, second, _ = all_of(CreateUnitTest, asked)
    assert first.description == (
        "Renew what may be renewed.\n"
        "Not checked here: reward_basis.DB (1), actions (2), env_assertions (1).\n"
        "Expected actions: renew_loan."
    )
    assert second.description.endswith("Not checked here: initial_state (1).")


@pytest.mark.parametrize("criteria", [None, {"env_assertions": [{"a": 1}]}])
def test_a_task_without_a_check_of_the_conversation_is_left_out_and_named(
    criteria: Raw | None,
) -> None:
    bare = a_task("bare") | {"evaluation_criteria": criteria}
    asked = planned(a_task("0"), bare)

    assert (asked.tasks, asked.left_out) == (1, ["bare"])
    assert len(all_of(CreateScenario, asked)) == 1
    with pytest.raises(Malformed, match="No task has an assertion") as refused:
        planned(bare)
    assert refused.value.path == "$"


def test_agents_with_other_policies_have_tests_of_their_own() -> None:
    other = msgspec.structs.replace(POLICY, sha256="ef" * 32)
    one, two, three = (
        planned(a_task()),
        planned(a_task(), policy=other),
        planned(a_task(), agent="Night desk"),
    )

    assert len({asked.agent_id for asked in (one, two, three)}) == 3
    assert len({asked.set_id for asked in (one, two, three)}) == 3
    assert all_of(CreateScenario, one) == all_of(CreateScenario, two)
    assert three.agent == "Night desk"


def test_an_agent_without_a_policy_is_named_by_its_domain_and_cannot_run_yet() -> None:
    asked = planned(a_task(), policy=None)
    (agent,) = all_of(RegisterAgent, asked)

    assert agent.name == "Agent of the library tasks"
    assert agent.connection == Connection(kind="rules")
    assert "cannot run" in agent.description
    mixed = instructed(a_task("1"), domain="school")
    assert planned(a_task(), mixed, policy=None).agent == "Agent of the tau2 tasks"


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("If it is late,\n renew it.", "If it is late, renew it."),
        ("First ask.\nThen go.", "First ask.\nThen go."),
        ("One.\n\n  two.", "One.\n\ntwo."),
        ("Ask:\n- this\n- that", "Ask:\n- this\n- that"),
    ],
)
def test_a_line_that_breaks_inside_a_sentence_is_joined(text: str, joined: str) -> None:
    assert unwrapped(text) == joined


@pytest.mark.parametrize(
    ("tasks", "words", "path"),
    [
        ([], "holds no tasks", "$"),
        ([a_task("0"), a_task("1"), a_task("0")], "0 is also record 0", "$[2].id"),
    ],
)
def test_a_bad_record_is_named(tasks: list[Raw], words: str, path: str) -> None:
    with pytest.raises(Malformed, match=words) as refused:
        planned(*tasks)
    assert refused.value.path == path


def test_more_than_a_test_or_a_set_can_hold_is_refused() -> None:
    many = [f"Agent should renew loan {number}." for number in range(51)]
    with pytest.raises(TooLarge, match="51 checks; a unit test has at most 50") as one:
        planned(a_task("0"), a_task("1", nl_assertions=many))
    assert one.value.path == "$[1].evaluation_criteria"
    with pytest.raises(TooLarge, match="501 tasks; a set has at most 500"):
        planned(*(a_task(str(number)) for number in range(501)))
