"""An import of tau2's tasks is checked as a whole, happens once, and can be run."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.errors import Failure, Forbidden, Malformed, Missing, TooLarge
from events.testing.agents import AgentConfigured
from events.testing.personas import PersonaCreated
from events.testing.scenarios import ScenarioCreated
from events.testing.unit_test_sets import UnitTestSetCreated
from events.testing.unit_tests import UnitTestCreated
from infra.clock import now
from infra.memory.event_log import MemoryBlobs, MemoryEventLog
from infra.operations.importing_tau2 import MAX_POLICY, Summary, import_tau2
from services import guard
from services.engines.dialogue.draw import Draw
from services.engines.dialogue.turns import Turn
from services.handling import Handler
from services.routing import DECIDER_OF
from services.work.agents import connect
from tests.builders import meta, new_id
from tests.suites.event_log import everything_after


POLICY = b"""# Library Desk Policy

## Renew loan

The agent must first obtain the user id from the user.

Loans that somebody else waits for cannot be renewed.
"""


def a_task(task: str, reader: str) -> dict[str, Any]:
    return {
        "id": task,
        "description": {"purpose": "The loan is waited for.", "notes": None},
        "user_scenario": {
            "persona": None,
            "instructions": {
                "task_instructions": "If the agent says no,\nask for a reason.",
                "domain": "library",
                "reason_for_call": f"You want to renew loan L-{task}.",
                "known_info": f"You are {reader} Reader.\nYour user id is {reader}_1.",
                "unknown_info": None,
            },
        },
        "initial_state": None,
        "evaluation_criteria": {
            "actions": [
                {"action_id": "0_0", "name": "get_loan", "arguments": {"loan": "L-1"}}
            ],
            "communicate_info": ["14"],
            "nl_assertions": [f"Agent should not renew loan L-{task}."],
            "reward_basis": ["DB", "COMMUNICATE"],
        },
        "annotations": None,
    }


TASKS = [a_task("1", "Ada"), a_task("2", "Bo"), a_task("3", "Ada")]
FILE = json.dumps(TASKS).encode()


class Desk:
    """Everything that an import needs, in memory."""

    def __init__(self) -> None:
        self.log = MemoryEventLog(clock=now, ids=new_id)
        self.blobs = MemoryBlobs()
        self.handler = Handler(log=self.log, deciders=DECIDER_OF, guard=guard.check)
        self.progress: list[tuple[int, int]] = []

    async def load(
        self,
        source: Path | bytes = FILE,
        *,
        policy: Path | bytes | None = POLICY,
        agent: str | None = None,
        role: str = "user",
    ) -> Summary:
        return await import_tau2(
            source,
            handler=self.handler,
            blobs=self.blobs,
            meta=replace(meta(), roles=frozenset({role})),
            policy=policy,
            agent=agent,
            progress=lambda done, total: self.progress.append((done, total)),
        )

    async def events(self) -> list[Any]:
        return [each.event for each in await everything_after(self.log, 0)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_tasks_become_one_set(desk: Desk) -> None:
    summary = await desk.load()
    events = await desk.events()

    assert (summary.tasks, summary.personas, summary.metrics) == (3, 2, 4)
    assert (summary.assertions, summary.communications) == (3, 3)
    assert summary.not_imported == {"reward_basis.DB": 3, "actions": 3}
    assert summary.agent == "Library Desk Policy"
    assert summary.position == summary.new_events == len(events)
    assert desk.progress[-1] == (summary.commands, summary.commands)
    counts = {
        kind: sum(isinstance(event, kind) for event in events)
        for kind in (PersonaCreated, ScenarioCreated, UnitTestCreated)
    }
    assert list(counts.values()) == [2, 3, 3]
    (whole,) = [event for event in events if isinstance(event, UnitTestSetCreated)]
    assert whole.set_id == summary.set_id
    assert len(whole.unit_tests) == 3


async def test_importing_twice_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    first = await desk.load()
    head = await desk.log.head()
    file, policy = tmp_path / "tasks.json", tmp_path / "policy.md"
    file.write_bytes(FILE)
    policy.write_bytes(POLICY)

    second = await desk.load(file, policy=policy)

    assert second == replace(first, result="nothing new", new_events=0)
    assert await desk.log.head() == head


async def test_a_longer_file_adds_what_is_new(desk: Desk) -> None:
    first = await desk.load()
    longer = await desk.load(json.dumps([*TASKS, a_task("4", "Cy")]).encode())

    assert longer.set_id != first.set_id
    assert longer.agent_id == first.agent_id
    events = await desk.events()
    assert sum(isinstance(event, UnitTestCreated) for event in events) == 4


async def test_the_agent_answers_by_the_imported_policy(desk: Desk) -> None:
    summary = await desk.load()
    events = await desk.events()
    (configured,) = [event for event in events if isinstance(event, AgentConfigured)]

    assert summary.policy_sha256 == hashlib.sha256(POLICY).hexdigest()
    assert await desk.blobs.get(summary.policy_sha256) == POLICY
    agent = await connect(configured.connection, desk.blobs)
    asked = [Turn(1, "user", "I want to renew loan L-1.")]
    answer = await agent.answer(asked, Draw(7, UUID(int=1), 0, 1))
    assert "user id" in answer.text


async def test_the_summary_reads_well(desk: Desk) -> None:
    summary = await desk.load(policy=None)

    assert list(summary.lines()) == [
        "imported: Agent of the library tasks",
        f"3 tasks, 2 personas, 4 metrics, {summary.new_events} new events",
        "checks: 3 assertions, 3 facts to communicate",
        "not imported: reward_basis.DB (3), actions (3)",
        f"agent {summary.agent_id} cannot run before it has a policy",
        f"set {summary.set_id}",
    ]
    bare = TASKS[0] | {"id": "bare", "evaluation_criteria": None}
    named = await desk.load(json.dumps([*TASKS, bare]).encode())
    assert "left out, without another check: bare" in list(named.lines())


async def test_who_may_not_author_may_not_import(desk: Desk) -> None:
    with pytest.raises(Forbidden):
        await desk.load(role="viewer")
    assert await desk.events() == []


def changed(**changes: object) -> bytes:
    return json.dumps([TASKS[0], TASKS[1] | changes]).encode()


def checked(**criteria: object) -> bytes:
    known = TASKS[1]["evaluation_criteria"]
    return changed(evaluation_criteria=known | criteria)


def told(**instructions: object) -> bytes:
    known = TASKS[1]["user_scenario"]["instructions"]
    return changed(user_scenario={"instructions": known | instructions})


BAD_FILES: dict[str, tuple[bytes, str | None]] = {
    "empty file": (b"", None),
    "truncated": (FILE[:-70], None),
    "not text": (b"\xff\xfe[\x00]", None),
    "no array": (b'{"id": "0"}', "$"),
    "an empty array": (b"[]", "$"),
    "a missing field": (b'[{"id": "0"}]', "$[0].user_scenario"),
    "a number for an id": (changed(id=4), "$[1].id"),
    "a blank id": (changed(id=" "), "$[1].id"),
    "a repeated id": (changed(id="1"), "$[1].id"),
    "no reason": (
        told(reason_for_call=" "),
        "$[1].user_scenario.instructions.reason_for_call",
    ),
    "a list for a text": (
        told(known_info=["x"]),
        "$[1].user_scenario.instructions.known_info",
    ),
    "a blank assertion": (
        checked(nl_assertions=["Agent asks.", " "]),
        "$[1].evaluation_criteria.nl_assertions[1]",
    ),
    "a check that is not known": (
        checked(tone_checks=["kind"]),
        "$[1].evaluation_criteria.tone_checks",
    ),
    "an action without a name": (
        checked(actions=[{"arguments": {}}]),
        "$[1].evaluation_criteria.actions[0].name",
    ),
    "a NUL": (
        told(known_info="a\0b"),
        "$[1].user_scenario.instructions.known_info",
    ),
    "a lone surrogate": (
        told(known_info="a\ud800b"),
        "$[1].user_scenario.instructions.known_info",
    ),
    "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, None),
}


@pytest.mark.parametrize("name", BAD_FILES)
async def test_a_bad_file_is_refused_as_a_whole(desk: Desk, name: str) -> None:
    content, path = BAD_FILES[name]

    with pytest.raises(Malformed) as refused:
        await desk.load(content)

    assert refused.value.path == path
    assert await desk.events() == []


BAD_POLICIES = {
    "no text": (b"# Policy \xff", Malformed, "no text in UTF-8"),
    "blank": (b" \n", Malformed, "is empty"),
    "a NUL": (b"a\0b", Malformed, "holds a NUL"),
    "too long": (b"x" * (MAX_POLICY + 1), TooLarge, "the limit is"),
}


@pytest.mark.parametrize("name", BAD_POLICIES)
async def test_a_bad_policy_is_named_and_nothing_is_imported(
    desk: Desk, tmp_path: Path, name: str
) -> None:
    content, failure, words = BAD_POLICIES[name]
    path = tmp_path / "rules.md"
    path.write_bytes(content)

    with pytest.raises(failure, match=rf"rules\.md.*{words}"):
        await desk.load(policy=path)
    with pytest.raises(Missing, match="Cannot read"):
        await desk.load(policy=tmp_path / "none.md")
    assert await desk.events() == []


async def test_an_agent_cannot_have_a_blank_name(desk: Desk) -> None:
    with pytest.raises(Malformed, match="agent's name"):
        await desk.load(agent=" ")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
steps = st.lists(st.integers(0, 30), min_size=1, max_size=6)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=steps, value=json_values)
async def test_whatever_stands_in_a_file_it_is_imported_or_refused(
    steps: list[int], value: object
) -> None:
    desk = Desk()
    tasks: Any = json.loads(FILE)
    place = tasks
    for step in steps[:-1]:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        inner = place[keys[step % len(keys)]]
        if not isinstance(inner, dict | list) or not inner:
            break
        place = inner
    keys = list(place) if isinstance(place, dict) else range(len(place))
    place[keys[steps[-1] % len(keys)]] = value
    try:
        await desk.load(json.dumps(tasks).encode())
    except Failure:
        assert await desk.events() == []
