"""The tasks of a tau2 file as commands: people, scenarios, checks, tests, one set.

Every identifier follows from the organisation and the content, and every command id
from its command: the same file and policy give the same commands, and files share what
is the same in them.

A natural-language assertion becomes a metric, and so does a fact that has to be
communicated; a trial passes where all of them hold. What looks at the state of the
tools (`DB`, `ACTION`, `ENV_ASSERTION`, and the actions and assertions they rest on) or
sets it up is not imported but counted, so a verdict here is not tau2's reward. A task
without any check of the conversation is left out and named.

What a customer knows of itself, and does not know, is its persona's background. The
agent speaks first, as in tau2.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID, uuid5

import msgspec

from events.ids import (
    AgentId,
    MetricId,
    PersonaId,
    ScenarioId,
    UnitTestId,
    UnitTestSetId,
)
from events.message import Command
from services.testing.agents import POLICY_BLOB, Connection, RegisterAgent
from services.testing.metrics import Assertion, CreateMetric
from services.testing.personas import CreatePersona
from services.testing.scenarios import CreateScenario
from services.testing.tau2_records import Instructions, Task, check_tasks
from services.testing.tau_bench import SPACE, shortened
from services.testing.unit_test_sets import CreateUnitTestSet, UnitTestEntry
from services.testing.unit_tests import CreateUnitTest, Criterion


TAGS: Final[dict[str, str | None]] = {"source": "tau2"}
JUDGED: Final = frozenset({"COMMUNICATE", "NL_ASSERTION"})
MAX_INTERACTIONS: Final = 30
MAX_DESCRIPTION: Final = 4_096
MAX_PURPOSE: Final = 2_048
MAX_EXTERNAL_ID: Final = 200

SOFT_BREAK: Final = re.compile(r"(?<=[\w,;])[ \t]*\n[ \t]*(?=[a-z])")
BLANK_LINES: Final = re.compile(r"\n\s*\n")
NAMED: Final = re.compile(
    r"\b(?:You are|Your name is) (?P<name>[A-Z][\w'-]+(?: [A-Z][\w'-]+){1,3})"
)
USER_ID: Final = re.compile(
    r"\buser id(?: is)?\s*:?\s*['\"]?(?P<id>\w[\w.@-]*\w)", re.IGNORECASE
)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The policy of the agent under test, kept among the blobs under its sha256."""

    text: str
    sha256: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import asks for, in order, and what of the file it does not ask for.

    `commands` are pairs of command id and command. `assertions` and `communications`
    count the criteria. `not_imported` counts by name: for `reward_basis.<name>`,
    `initial_state` and `ticket` the tasks, else the items. `left_out` are the ids of
    the tasks without a check that rules may judge.
    """

    set_id: UnitTestSetId
    agent_id: AgentId
    agent: str
    tasks: int
    personas: int
    metrics: int
    assertions: int
    communications: int
    not_imported: dict[str, int]
    left_out: list[str]
    commands: list[tuple[UUID, Command]]


def plan(
    tasks: Sequence[Task],
    *,
    org_id: str,
    policy: Policy | None = None,
    agent: str | None = None,
) -> Plan:
    """Return what importing a file's tasks asks for.

    `agent` names the agent under test; without it the policy's first line does. Raises
    `Malformed` with the record's place in the file, or `TooLarge`.
    """
    check_tasks(tasks)
    kept = [task for task in tasks if task.checks]
    things = Things(
        org_id=org_id, agent=agent or agent_of(kept, policy), policy=policy, tasks=kept
    )
    commands = list(things.created())
    return Plan(
        set_id=things.set_id,
        agent_id=things.agent_id,
        agent=things.agent,
        tasks=len(kept),
        personas=len(things.people),
        metrics=len(things.metrics),
        assertions=sum(len(assertions_of(task)) for task in kept),
        communications=sum(len(communications_of(task)) for task in kept),
        not_imported=dict(sum((not_imported(task) for task in tasks), Counter())),
        left_out=[task.id for task in tasks if not task.checks],
        commands=[(things.command_id(command), command) for command in commands],
    )


class Things:
    """What the tasks of a file are about, each with an id that its content gives."""

    def __init__(
        self, *, org_id: str, agent: str, policy: Policy | None, tasks: Sequence[Task]
    ) -> None:
        self._space = uuid5(SPACE, org_id)
        self._policy = policy
        self._tasks = tasks
        self.agent = agent
        self.agent_id = AgentId(
            self.id("agent", agent, policy.sha256 if policy else "")
        )
        self.people = {
            background: PersonaId(self.id("persona", background))
            for background in map(background_of, tasks)
        }
        self.scenarios = [
            ScenarioId(self.id("scenario", task.id, *goal_of(task.parts)))
            for task in tasks
        ]
        self.metrics = {
            text: MetricId(self.id("metric", text))
            for task in tasks
            for text in checks_of(task)
        }
        self.unit_tests = list(map(self._unit_test, range(len(tasks))))
        self.set_id = UnitTestSetId(
            self.id(
                "unit_test_set",
                agent,
                *(str(test.unit_test_id) for test in self.unit_tests),
            )
        )

    def id(self, *parts: str) -> UUID:
        """Return the id that these parts have among the organisation's tau2 tasks."""
        return uuid5(self._space, msgspec.json.encode(("tau2", *parts)).decode())

    def command_id(self, command: Command) -> UUID:
        """Return the id of a command, which is its body's."""
        return uuid5(self._space, msgspec.json.encode(command).decode())

    def created(self) -> Iterator[Command]:
        """Yield the creation of everything that a run of the set needs."""
        for background, persona_id in self.people.items():
            yield CreatePersona(
                persona_id=persona_id,
                name=person_of(background),
                role="customer",
                background=background,
                tags=TAGS,
                external_id=user_id_of(background),
            )
        for task, scenario_id in zip(self._tasks, self.scenarios, strict=True):
            objective, instructions = goal_of(task.parts)
            yield CreateScenario(
                scenario_id=scenario_id,
                name=shortened(f"{task.id}: {objective}"),
                objective=objective,
                instructions=instructions,
                tags=TAGS,
                external_id=task.id[:MAX_EXTERNAL_ID],
            )
        for text, metric_id in self.metrics.items():
            yield CreateMetric(
                metric_id=metric_id,
                name=shortened(text),
                value_type="boolean",
                definition=Assertion(text=text),
                tags=TAGS,
            )
        yield self._agent()
        yield from self.unit_tests
        yield CreateUnitTestSet(
            set_id=self.set_id,
            name=f"{shortened(self.agent)}: {len(self._tasks)} tasks",
            unit_tests=[
                UnitTestEntry(unit_test_id=test.unit_test_id)
                for test in self.unit_tests
            ],
            tags=TAGS,
        )

    def _agent(self) -> RegisterAgent:
        settings = {POLICY_BLOB: self._policy.sha256} if self._policy else {}
        goes_by = "Goes by the policy that was imported with its tasks."
        lacks = "Has no policy yet and cannot run until it is configured with one."
        return RegisterAgent(
            agent_id=self.agent_id,
            name=self.agent,
            description=goes_by if self._policy else lacks,
            connection=Connection(kind="rules", settings=settings),
            tags=TAGS,
        )

    def _unit_test(self, place: int) -> CreateUnitTest:
        task = self._tasks[place]
        persona_id = self.people[background_of(task)]
        scenario_id = self.scenarios[place]
        metrics = [self.metrics[text] for text in checks_of(task)]
        about, domain = described(task), task.parts.domain
        parts = map(str, (self.agent_id, persona_id, scenario_id, *metrics))
        return CreateUnitTest(
            unit_test_id=UnitTestId(self.id("unit_test", domain, about, *parts)),
            name=shortened(f"{task.id}: {goal_of(task.parts)[0]}"),
            description=about,
            persona_id=persona_id,
            scenario_id=scenario_id,
            service_id=self.agent_id,
            max_interactions=MAX_INTERACTIONS,
            success_criterions=[
                Criterion(
                    metric_id=metric_id, operator="==", value=True, metric_version=1
                )
                for metric_id in metrics
            ],
            tags={**TAGS, "domain": domain},
            external_id=task.id[:MAX_EXTERNAL_ID],
        )


def agent_of(tasks: Sequence[Task], policy: Policy | None) -> str:
    """Return what the policy's first line calls the agent, or else its domain."""
    lines = policy.text.strip().splitlines() if policy else []
    title = shortened(lines[0].lstrip("# ")) if lines else ""
    domains = {task.parts.domain for task in tasks}
    domain = domains.pop() if len(domains) == 1 else "tau2"
    return title or f"Agent of the {domain} tasks"


def goal_of(parts: Instructions) -> tuple[str, str]:
    """Return the objective and the instructions of a scenario."""
    return unwrapped(parts.reason_for_call), unwrapped(parts.task_instructions)


def background_of(task: Task) -> str:
    """Return what a customer is, knows and does not know, in lines without a blank."""
    parts = task.parts
    given = (task.user_scenario.persona, parts.known_info, parts.unknown_info)
    texts = [unwrapped(text) for text in given if text and text.strip()]
    return BLANK_LINES.sub("\n", "\n".join(texts))


def unwrapped(text: str) -> str:
    """Return a text without line breaks inside its sentences and space around lines."""
    lines = [line.strip() for line in SOFT_BREAK.sub(" ", text.strip()).splitlines()]
    return "\n".join(lines)


def person_of(background: str) -> str:
    """Return what a background calls the customer: its name and id, as far as known."""
    named = NAMED.search(background)
    known = [named["name"] if named else None, user_id_of(background)]
    told = [text for text in known if text]
    if len(told) > 1:
        return shortened(f"{told[0]} ({told[1]})")
    return shortened(told[0] if told else background) or "Customer"


def user_id_of(background: str) -> str | None:
    """Return the id by which the agent's systems know the customer."""
    found = USER_ID.search(background)
    return found["id"][:MAX_EXTERNAL_ID] if found else None


def assertions_of(task: Task) -> list[str]:
    """Return the assertions of a task, each once."""
    given = task.criteria.nl_assertions or ()
    return list(dict.fromkeys(" ".join(text.split()) for text in given))


def communications_of(task: Task) -> list[str]:
    """Return what has to be communicated as assertions, each once."""
    given = task.criteria.communicate_info or ()
    told = (" ".join(text.split()).rstrip(".") for text in given)
    return list(dict.fromkeys(f"Agent communicates {fact}." for fact in told))


def checks_of(task: Task) -> list[str]:
    """Return what must hold of a conversation, as sentences, each once."""
    return list(dict.fromkeys([*assertions_of(task), *communications_of(task)]))


def not_imported(task: Task) -> Counter[str]:
    """Return what of a task is not imported, counted by name."""
    criteria = task.criteria
    found = Counter(
        f"reward_basis.{name}"
        for name in dict.fromkeys(criteria.reward_basis or ())
        if name not in JUDGED
    )
    found["actions"] = len(criteria.actions or ())
    found["env_assertions"] = len(criteria.env_assertions or ())
    found["initial_state"] = int(bool(task.initial_state))
    found["ticket"] = int(bool(task.ticket))
    return +found


def described(task: Task) -> str:
    """Return what a task is for, and which of its checks are not made here."""
    about = task.description
    given = (about.purpose, about.relevant_policies, about.notes) if about else ()
    purpose = "\n".join(unwrapped(text) for text in given if text and text.strip())
    texts = [purpose[:MAX_PURPOSE]] if purpose else []
    if missing := not_imported(task):
        counts = ", ".join(f"{name} ({count})" for name, count in missing.items())
        texts.append(f"Not checked here: {counts}.")
    if actions := task.criteria.actions:
        names = ", ".join(dict.fromkeys(action.name for action in actions))
        texts.append(f"Expected actions: {names}.")
    return "\n".join(texts)[:MAX_DESCRIPTION]
