"""Recorded tau-bench trajectories as commands: things to test, one run, its trials.

Every identifier follows from the organisation and the content, and every command id
from its command: the same file gives the same commands, and files about the same tasks
and agent share everything but the run.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID, uuid5

import msgspec

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
from services.testing.agents import RELEASE, Connection, RegisterAgent
from services.testing.metrics import CreateMetric, RecordedReward
from services.testing.personas import CreatePersona
from services.testing.reliability import Estimate, pass_at_k, pass_hat_k, pass_rate
from services.testing.scenarios import CreateScenario
from services.testing.set_runs import AttachArtifact, RecordTrial, StartSetRun
from services.testing.specs import PinnedCriterion, Spec
from services.testing.tau_bench_records import (
    Group,
    Record,
    Trial,
    end_reason,
    grouped,
)
from services.testing.unit_test_sets import CreateUnitTestSet, UnitTestEntry
from services.testing.unit_tests import CreateUnitTest, Criterion


SPACE: Final = UUID("b0f6a2c1-3f0e-5d52-8c0e-6f6c5a4f7d11")
TAGS: Final[dict[str, str | None]] = {"source": "tau-bench"}
MAX_STEPS: Final = 30  # tau-bench's own limit of agent steps in a trial
MAX_ERROR: Final = 4_096
MAX_TITLE: Final = 80


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an import asks for, in order, and what the file says of the agent.

    `commands` are pairs of command id and command. `results` is the JSON that the last
    command attaches to the run. `pass_hat` and `pass_at` hold an estimate for each k
    from 1 to the number of trials.
    """

    run_id: SetRunId
    set_id: UnitTestSetId
    agent: str
    personas: int
    tasks: int
    trials: int
    entries: int
    rate: Estimate
    pass_hat: list[Estimate]
    pass_at: list[Estimate]
    commands: list[tuple[UUID, Command]]
    results: bytes


def plan(
    records: Sequence[Record], *, org_id: str, sha256: str, agent: str | None = None
) -> Plan:
    """Return what importing a file's records asks for; `sha256` is the file's.

    `agent` names the agent under test; without it the system prompt's first line does.
    Raises `Malformed` with the record's place in the file, or `TooLarge`.
    """
    groups = grouped(records)
    things = Things(org_id=org_id, agent=agent or title_of(records), groups=groups)
    run_id = SetRunId(things.id("set_run", str(things.set_id), sha256))
    successes = [sum(trial.passed for trial in group.trials) for group in groups]
    trials = [len(group.trials) for group in groups]
    ks = range(1, min(trials) + 1)
    rate = pass_rate(successes, trials)
    pass_hat = [pass_hat_k(successes, trials, k) for k in ks]
    pass_at = [pass_at_k(successes, trials, k) for k in ks]
    recorded = list(things.recorded(run_id))
    results = msgspec.json.encode(
        {
            "source": {"format": "tau-bench", "sha256": sha256},
            "run_id": run_id,
            "set_id": things.set_id,
            "agent": things.agent,
            "pass_rate": rate,
            "pass_hat_k": dict(zip(map(str, ks), pass_hat, strict=True)),
            "pass_at_k": dict(zip(map(str, ks), pass_at, strict=True)),
            "tasks": list(things.results(run_id)),
        }
    )
    commands = [
        *things.created(),
        things.started(run_id, sha256),
        *recorded,
        AttachArtifact(
            run_id=run_id,
            artifact_id=uuid5(run_id, "results"),
            name="results.json",
            media_type="application/json",
            sha256=hashlib.sha256(results).hexdigest(),
            size=len(results),
        ),
    ]
    return Plan(
        run_id=run_id,
        set_id=things.set_id,
        agent=things.agent,
        personas=len(things.users),
        tasks=len(groups),
        trials=len(recorded),
        entries=sum(len(command.entries) for command in recorded),
        rate=rate,
        pass_hat=pass_hat,
        pass_at=pass_at,
        commands=[(things.command_id(command), command) for command in commands],
        results=results,
    )


def title_of(records: Iterable[Record]) -> str:
    """Return the first line of the first system prompt, or what else can be said."""
    prompts = (
        turn.content or ""
        for record in records
        for turn in record.traj
        if turn.role == "system"
    )
    lines = next(prompts, "").strip().splitlines()
    return shortened(lines[0].lstrip("# ") if lines else "") or "Recorded agent"


def shortened(text: str) -> str:
    """Return a text as one line that fits into a name."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1].rstrip()}…"


class Things:
    """What the tasks of a file are about, each with an id that its content gives."""

    def __init__(self, *, org_id: str, agent: str, groups: Sequence[Group]) -> None:
        self._space = uuid5(SPACE, org_id)
        self._groups = groups
        self.agent = agent
        self.agent_id = AgentId(self.id("agent", agent))
        self.metric_id = MetricId(self.id("metric", "recorded reward"))
        self.users = {
            group.task.user_id: PersonaId(self.id("persona", group.task.user_id))
            for group in groups
        }
        self.scenarios = [
            ScenarioId(self.id("scenario", group.name, group.task.instruction))
            for group in groups
        ]
        self.unit_tests = [
            UnitTestId(
                self.id(
                    "unit_test",
                    str(self.agent_id),
                    str(self.users[group.task.user_id]),
                    str(scenario_id),
                )
            )
            for group, scenario_id in zip(groups, self.scenarios, strict=True)
        ]
        self.run_count = len(groups[0].trials)
        self.set_id = UnitTestSetId(
            self.id("unit_test_set", str(self.run_count), *map(str, self.unit_tests))
        )

    def id(self, *parts: str) -> UUID:
        """Return the id that these parts have in the organisation."""
        return uuid5(self._space, msgspec.json.encode(parts).decode())

    def command_id(self, command: Command) -> UUID:
        """Return the id of a command, which is its body's."""
        return uuid5(self._space, msgspec.json.encode(command).decode())

    def created(self) -> Iterator[Command]:
        """Yield the creation of everything that the run needs."""
        for user_id, persona_id in self.users.items():
            yield CreatePersona(
                persona_id=persona_id,
                name=user_id,
                role="customer",
                background=f"A customer whom the agent's systems know as {user_id}.",
                tags=TAGS,
                external_id=user_id,
            )
        for group, scenario_id in zip(self._groups, self.scenarios, strict=True):
            yield CreateScenario(
                scenario_id=scenario_id,
                name=f"{group.name}: {shortened(group.task.instruction)}",
                objective=group.task.instruction,
                instructions=group.task.instruction,
                tags=TAGS,
                external_id=group.name,
            )
        yield CreateMetric(
            metric_id=self.metric_id,
            name="recorded reward",
            value_type="boolean",
            definition=RecordedReward(),
            tags=TAGS,
        )
        yield RegisterAgent(
            agent_id=self.agent_id,
            name=self.agent,
            description="Known by its recordings only.",
            connection=Connection(kind="recorded"),
            tags=TAGS,
        )
        yield from map(self._unit_test, range(len(self._groups)))
        yield CreateUnitTestSet(
            set_id=self.set_id,
            name=f"{self.agent}: {len(self._groups)} tasks x {self.run_count} trials",
            unit_tests=[
                UnitTestEntry(unit_test_id=unit_test_id, run_count=self.run_count)
                for unit_test_id in self.unit_tests
            ],
            tags=TAGS,
        )

    def started(self, run_id: SetRunId, sha256: str) -> StartSetRun:
        """Return the start of the run of a file with this hash."""
        return StartSetRun(
            run_id=run_id,
            set_id=self.set_id,
            specs=list(map(self._spec, range(len(self._groups)))),
            external_id=f"sha256:{sha256}",
        )

    def recorded(self, run_id: SetRunId) -> Iterator[RecordTrial]:
        """Yield the trials of the run, task by task."""
        for group, unit_test_id in zip(self._groups, self.unit_tests, strict=True):
            for index, trial in enumerate(group.trials):
                record = trial.record
                error = record.info.error
                yield RecordTrial(
                    run_id=run_id,
                    trial_id=trial_id(run_id, group, trial),
                    unit_test_id=unit_test_id,
                    index=index,
                    entries=trial.entries,
                    end_reason=end_reason(record),
                    reward=record.reward,
                    error=error[:MAX_ERROR] if error else None,
                    external_id=f"{group.name}/{record.trial}",
                )

    def results(self, run_id: SetRunId) -> Iterator[Mapping[str, object]]:
        """Yield each task with what was wanted and what came out."""
        for group, unit_test_id in zip(self._groups, self.unit_tests, strict=True):
            yield {
                "task_id": group.trials[0].record.task_id,
                "unit_test_id": unit_test_id,
                "user_id": group.task.user_id,
                "instruction": group.task.instruction,
                "actions": group.task.actions,
                "outputs": group.task.outputs,
                "trials": [
                    {
                        "trial": trial.record.trial,
                        "trial_id": trial_id(run_id, group, trial),
                        "reward": trial.record.reward,
                        "passed": trial.passed,
                        "entries": len(trial.entries),
                        "end_reason": end_reason(trial.record),
                    }
                    for trial in group.trials
                ],
            }

    def _unit_test(self, place: int) -> CreateUnitTest:
        group = self._groups[place]
        return CreateUnitTest(
            unit_test_id=self.unit_tests[place],
            name=f"{group.name}: {shortened(group.task.instruction)}",
            persona_id=self.users[group.task.user_id],
            scenario_id=self.scenarios[place],
            service_id=self.agent_id,
            service_version_set_name=RELEASE,
            max_interactions=MAX_STEPS,
            success_criterions=[
                Criterion(
                    metric_id=self.metric_id,
                    operator="==",
                    value=True,
                    metric_version=1,
                )
            ],
            tags=TAGS,
            external_id=group.name,
        )

    def _spec(self, place: int) -> Spec:
        group = self._groups[place]
        return Spec(
            unit_test_id=self.unit_tests[place],
            name=f"{group.name}: {shortened(group.task.instruction)}",
            persona_id=self.users[group.task.user_id],
            persona_version=1,
            scenario_id=self.scenarios[place],
            scenario_version=1,
            service_id=self.agent_id,
            service_version_set_name=RELEASE,
            service_version=1,
            max_interactions=MAX_STEPS,
            success_criterions=[
                PinnedCriterion(
                    metric_id=self.metric_id,
                    metric_version=1,
                    name="recorded reward",
                    value_type="boolean",
                    definition=RecordedReward(),
                    operator="==",
                    value=True,
                )
            ],
            run_count=self.run_count,
        )


def trial_id(run_id: SetRunId, group: Group, trial: Trial) -> TrialId:
    """Return the id of a trial in a run."""
    return TrialId(uuid5(run_id, f"{group.name}/{trial.record.trial}"))
