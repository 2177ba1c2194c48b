"""Commands about experiments and simulations of populations."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, cast
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.table import Column
from rich.table import Table as Grid

from events.errors import Malformed, Missing
from events.experiments.experiments import Value
from events.ids import ExperimentId, SimulationId
from events.message import Command
from infra.carrying import carrying
from infra.clock import new_id
from infra.commands.shared import (
    FAILED,
    OK,
    Broker,
    Where,
    Who,
    answer,
    progress,
    run,
    screen,
)
from infra.operations.experimenting import (
    ExperimentReport,
    Experiments,
    Proof,
    RunReport,
    prove,
)
from infra.operations.exporting import Format, export_run
from infra.populations import open_populations
from infra.settings import Settings
from infra.wiring import (
    Core,
    Urls,
    caught_up,
    core,
    database,
    projecting,
    reading,
    snapshotting,
)
from services.engines.population.configuration import configuration
from services.experiments.designs import GivenCapture, GivenDesign, GivenRange
from services.experiments.experiments import (
    CancelExperiment,
    CreateExperiment,
    PauseExperiment,
    ResumeExperiment,
    StartExperiment,
)
from services.experiments.simulations import (
    BranchSimulation,
    CancelSimulation,
    PauseSimulation,
    RequestRows,
    ResumeSimulation,
)
from services.work.simulating import Runs


experiments: Final = App(
    name="experiments", help="Run populations by design, prove and branch the runs."
)

ELSEWHERE: Final = {
    "watch": ("watching:watch", "Show the numbers of runs while they are made."),
    "analyse": ("analyses:analyse", "Show what the recorded rows of a simulation say."),
    "compare": ("analyses:compare", "Compare the conditions of an experiment."),
    "report": ("analyses:report", "Draw charts and a table of what rows say."),
}
for place, (function, told) in ELSEWHERE.items():
    experiments.command(f"infra.commands.{function}", name=place, help=told)

AT_LEAST_ONE: Final = Number(gte=1)
NOT_NEGATIVE: Final = Number(gte=0)
LEAST_MAXIMUM: Final = 300
GROWTH: Final = 10  # so many times the agents that begin there may be

Wait = Annotated[
    bool, Parameter(negative="", help="Do the work here, until it is over.")
]
Set = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        negative="",
        help="A parameter, such as combat.base_attack_strength=4; may be repeated.",
    ),
]

LIST: Final = """
SELECT experiment_id, name, status, simulations, counted, created_at
FROM experiments.experiments
ORDER BY created_at DESC, experiment_id DESC
LIMIT $1
"""


@experiments.command(name="run")
def run_experiment(
    *,
    name: Annotated[str, Parameter(help="Name.")] = "experiment",
    description: Annotated[str, Parameter(help="What it is about.")] = "",
    hypothesis: Annotated[str, Parameter(help="What is expected.")] = "",
    ruleset: Annotated[str, Parameter(help="farm-1 or agentfarm-2025-07.")] = "farm-1",
    agents: Annotated[
        int, Parameter(help="Agents that begin.", validator=AT_LEAST_ONE)
    ] = 30,
    steps: Annotated[
        int, Parameter(help="Steps of each run.", validator=AT_LEAST_ONE)
    ] = 1_000,
    iterations: Annotated[
        int, Parameter(help="Runs of each condition.", validator=AT_LEAST_ONE)
    ] = 1,
    seed: Annotated[
        int, Parameter(help="Seed of the first run.", validator=NOT_NEGATIVE)
    ] = 0,
    parameters: Set = (),
    grid: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="Values to try: path=1,2,3; may be repeated."),
    ] = (),
    span: Annotated[
        tuple[str, ...],
        Parameter(
            name="--range", negative="", help="A range to sample from: path=low:high."
        ),
    ] = (),
    samples: Annotated[
        int, Parameter(help="Points sampled from the ranges.", validator=AT_LEAST_ONE)
    ] = 1,
    capture: Annotated[
        int,
        Parameter(
            help="Put the rows of every so-manieth step into the tables.",
            validator=NOT_NEGATIVE,
        ),
    ] = 0,
    concurrency: Annotated[
        int | None, Parameter(help="Most runs at a time.", validator=AT_LEAST_ONE)
    ] = None,
    wait: Wait = False,
    broker: Broker = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Set up an experiment and start it; with --wait, make its runs and compare them.

    The same seed gives the same runs, on any machine and after any kill.
    """
    settings = where.settings(broker=broker)
    key = ExperimentId(new_id())

    async def work() -> int:
        design = GivenDesign(
            configuration=configuration(_configuration(ruleset, agents, parameters)),
            grid={
                path: [_value(each) for each in values.split(",")]
                for path, values in map(_pair, grid)
            },
            ranges=dict(map(_range, span)),
            samples=samples,
            iterations=iterations,
            seed=seed,
            steps=steps,
            capture=GivenCapture(every=capture),
            concurrency=concurrency,
        )
        create = CreateExperiment(
            experiment_id=key,
            name=name,
            description=description,
            hypothesis=hypothesis,
            design=design,
        )
        async with (
            database(settings) as urls,
            core(settings, urls, name="experiments") as parts,
        ):
            await parts.handler.handle(create, who.meta(settings))
            start = StartExperiment(experiment_id=key)
            outcome = await parts.handler.handle(start, who.meta(settings))
            if not wait:
                asked = {"experiment_id": str(key), "position": outcome.position}
                answer(where, asked, lambda: screen.print(f"experiment {key}"))
                return OK
            known = Experiments(parts.log, who.org)
            async with at_work(settings, urls, parts) as doing:
                with progress() as bar:
                    task = bar.add_task("making runs", total=None)
                    found = await known.ended(
                        key,
                        doing,
                        tell=lambda done, total: bar.update(
                            task, completed=done, total=total
                        ),
                    )
                await caught_up(urls, found.position)
        answer(where, found, lambda: print_experiment(found))
        return OK if found.status == "completed" else FAILED

    return run(where, work)


@asynccontextmanager
async def at_work(settings: Settings, urls: Urls, parts: Core) -> AsyncIterator[Any]:
    """Feed the tables and work while inside."""
    from infra.working import working  # noqa: PLC0415 - large; most commands only look

    async with (
        projecting(urls, parts),
        carrying(settings) as carrier,
        working(
            urls,
            parts,
            carrier=carrier,
            data_dir=settings.data_dir,
            lease_seconds=settings.lease_seconds,
        ) as doing,
    ):
        screen.print(f"work is carried by {carrier.name}", highlight=False)
        yield doing


@experiments.command(name="list")
def list_experiments(
    *,
    limit: Annotated[
        int, Parameter(help="At most so many.", validator=AT_LEAST_ONE)
    ] = 20,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """List experiments, the newest first."""
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, reading(urls) as reader:
            rows = await reader.read(who.identity(settings), LIST, [limit])
        found = [dict(cast("Mapping[str, Any]", row)) for row in rows]

        def show() -> None:
            grid = Grid("experiment", "name", "status", "ended", "of")
            for row in found:
                counts = (str(row["counted"]), str(row["simulations"]))
                grid.add_row(row["experiment_id"], row["name"], row["status"], *counts)
            screen.print(grid)

        answer(where, {"experiments": found}, show)
        return OK

    return run(where, work)


@experiments.command(name="show")
def show_experiment(
    identifier: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Show an experiment with its runs and conditions, or one simulation."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="experiments") as parts,
        ):
            known = Experiments(parts.log, who.org)
            if await known.kind(identifier) == "experiment":
                report = await known.experiment(ExperimentId(identifier))
                answer(where, report, lambda: print_experiment(report))
            else:
                single = await known.run(SimulationId(identifier))
                answer(where, single, lambda: print_runs([single]))
        return OK

    return run(where, work)


@experiments.command(name="verify")
def verify_experiment(
    identifier: UUID,
    *,
    first: Annotated[
        int, Parameter(name="--from", help="First step.", validator=NOT_NEGATIVE)
    ] = 0,
    last: Annotated[
        int | None, Parameter(name="--to", help="Last step.", validator=NOT_NEGATIVE)
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Make recorded steps again from their checkpoints, and compare every byte."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="experiments") as parts,
            open_populations(settings.data_dir) as populations,
        ):
            wanted = await Experiments(parts.log, who.org).runs_of(identifier)
            runs = Runs(log=parts.log, blobs=parts.blobs, populations=populations)
            with progress() as bar:
                task = bar.add_task("making again", total=None)
                proof = await prove(
                    runs,
                    wanted,
                    who.org,
                    first=first,
                    last=last,
                    tell=lambda done, total: bar.update(
                        task, completed=done, total=total
                    ),
                )
        answer(where, proof, lambda: print_proof(proof))
        return OK if proof.ok else FAILED

    return run(where, work)


@experiments.command(name="branch")
def branch_run(
    run_id: UUID,
    *,
    at: Annotated[int, Parameter(help="Step to go on from.", validator=NOT_NEGATIVE)],
    parameters: Set = (),
    steps: Annotated[
        int | None, Parameter(help="Steps in all.", validator=AT_LEAST_ONE)
    ] = None,
    wait: Wait = False,
    broker: Broker = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Go on from a step of a run with other parameters, in a run of its own.

    It draws the same numbers, so that what differs follows from the parameters.
    """
    key = SimulationId(new_id())

    def command() -> Command:
        return BranchSimulation(
            simulation_id=key,
            parent_id=SimulationId(run_id),
            at_step=at,
            overrides={path: _value(value) for path, value in map(_pair, parameters)},
            steps=steps,
        )

    settings = where.settings(broker=broker)

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="experiments") as parts,
        ):
            known = Experiments(parts.log, who.org)
            await known.run(SimulationId(run_id))
            outcome = await parts.handler.handle(command(), who.meta(settings))
            if not wait:
                asked = {"simulation_id": str(key), "position": outcome.position}
                answer(where, asked, lambda: screen.print(f"simulation {key}"))
                return OK
            async with at_work(settings, urls, parts) as doing:
                report = await _run_ended(known, key, doing)
                await caught_up(urls, (await parts.log.head()).position)
        answer(where, report, lambda: print_runs([report]))
        return OK if report.status == "completed" else FAILED

    return run(where, work)


@experiments.command(name="pause")
def pause(
    identifier: UUID,
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Let an experiment or a simulation hold after the chunk that it is at."""
    experiment, simulation = ExperimentId(identifier), SimulationId(identifier)
    return govern(
        identifier,
        PauseExperiment(experiment_id=experiment),
        PauseSimulation(simulation_id=simulation),
        where,
        who,
    )


@experiments.command(name="resume")
def resume(
    identifier: UUID,
    *,
    steps: Annotated[
        int | None,
        Parameter(
            help="Hold a simulation again after so many.", validator=AT_LEAST_ONE
        ),
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Let an experiment or a simulation go on."""
    experiment, simulation = ExperimentId(identifier), SimulationId(identifier)
    return govern(
        identifier,
        ResumeExperiment(experiment_id=experiment),
        ResumeSimulation(simulation_id=simulation, steps=steps),
        where,
        who,
    )


@experiments.command(name="cancel")
def cancel(
    identifier: UUID,
    *,
    reason: Annotated[str, Parameter(help="Why.")] = "Cancelled by the operator.",
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """End an experiment or a simulation before its last step."""
    experiment, simulation = ExperimentId(identifier), SimulationId(identifier)
    return govern(
        identifier,
        CancelExperiment(experiment_id=experiment, reason=reason),
        CancelSimulation(simulation_id=simulation, reason=reason),
        where,
        who,
    )


@experiments.command(name="rows")
def rows(
    run_id: UUID,
    *,
    first: Annotated[
        int, Parameter(name="--from", help="First step.", validator=NOT_NEGATIVE)
    ] = 0,
    last: Annotated[
        int | None, Parameter(name="--to", help="Last step.", validator=NOT_NEGATIVE)
    ] = None,
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Put states, resources, actions and lessons of steps into the tables.

    They are made again by the workers; nothing has to have been captured.
    """
    key = SimulationId(run_id)
    asked = RequestRows(simulation_id=key, first_step=first, last_step=last)
    return govern(run_id, None, asked, where, who)


@experiments.command(name="export")
def export(
    run_id: UUID,
    *,
    out: Annotated[
        Path, Parameter(help="The file or folder to write; it must not be there.")
    ],
    kind: Annotated[
        Format,
        Parameter(
            name="--format",
            help="An SQLite file, or a folder with a Parquet or Arrow file a table.",
        ),
    ] = "sqlite",
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
) -> int:
    """Write a simulation into an SQLite file, or a folder of Parquet or Arrow files.

    The tables are those of one moment. States, actions and lessons are there as far as
    they were captured or asked for by `rows`; what an action of the SQLite file refers
    to that is not in it is null, so that its foreign keys hold.
    """
    settings = where.settings()

    async def work() -> int:
        async with database(settings) as urls, snapshotting(urls) as snapshots:
            with progress() as bar:
                task = bar.add_task("writing", total=None)
                told = await export_run(
                    snapshots,
                    who.identity(settings),
                    SimulationId(run_id),
                    out,
                    kind=kind,
                    tell=lambda table, count: bar.update(
                        task, description=table, completed=count
                    ),
                )
        answer(
            where, told, lambda: screen.print(f"{out}: {told.rows}", highlight=False)
        )
        return OK

    return run(where, work)


def govern(
    identifier: UUID,
    experiment: Command | None,
    simulation: Command,
    where: Where,
    who: Who,
) -> int:
    """Send what is meant for an experiment or for a simulation."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="experiments") as parts,
        ):
            kind = await Experiments(parts.log, who.org).kind(identifier)
            command = experiment if kind == "experiment" else simulation
            if command is None:
                raise Missing("There is no such simulation.")
            outcome = await parts.handler.handle(command, who.meta(settings))
        told = {f"{kind}_id": str(identifier), "position": outcome.position}
        answer(where, told, lambda: screen.print(f"{kind} {identifier}"))
        return OK

    return run(where, work)


async def _run_ended(known: Experiments, key: SimulationId, doing: Any) -> RunReport:  # noqa: ANN401 - a task
    with progress() as bar:
        task = bar.add_task("making steps", total=None)
        return await known.run_ended(
            key,
            doing,
            tell=lambda done, total: bar.update(
                task, completed=done, total=total or None
            ),
        )


def print_experiment(found: ExperimentReport) -> None:
    """Print what came out of an experiment for people."""
    if found.conditions:
        condition = Column("condition", overflow="fold")
        grid = Grid(condition, "runs", "agents", "births", "deaths", "generations")
        for each in found.conditions:
            named = ", ".join(f"{k}={v}" for k, v in each.parameters.items())
            means = [
                f"{each.means[name]:.1f} ± {each.deviations.get(name, 0):.1f}"
                if name in each.means
                else ""
                for name in ("agents", "births", "deaths", "generations")
            ]
            grid.add_row(named or "-", str(each.runs), *means)
        screen.print(grid)
    else:
        print_runs(found.runs)
    screen.print(
        f"experiment {found.experiment_id} {found.status}: "
        f"{found.counted} of {found.simulations} runs",
        highlight=False,
    )


def print_runs(found: Sequence[RunReport]) -> None:
    """Print simulations for people."""
    grid = Grid("simulation", "status", "step", "agents", "births", "deaths", "hash")
    for each in found:
        summary = each.summary
        numbers = (
            ("", "", "")
            if summary is None
            else (str(summary.agents), str(summary.births), str(summary.deaths))
        )
        grid.add_row(
            str(each.simulation_id),
            each.status,
            str(each.step) if each.steps is None else f"{each.step} of {each.steps}",
            *numbers,
            (each.state_hash or "")[:12],
        )
    screen.print(grid)


def print_proof(proof: Proof) -> None:
    """Print what was made again, and what differed."""
    for each in proof.differences:
        screen.print(
            f"{each.simulation_id}, steps {each.first_step} to {each.last_step}: "
            f"{each.problem}",
            style="red",
            highlight=False,
        )
    screen.print(
        f"{'the same' if proof.ok else 'NOT the same'}: {proof.simulations} runs, "
        f"{proof.chunks} chunks, {proof.agent_steps} agent-steps",
        highlight=False,
    )


def _configuration(
    ruleset: str, agents: int, parameters: Sequence[str]
) -> dict[str, object]:
    """Return a configuration with agents of all types, and parameters set."""
    third = agents // 3
    made: dict[str, Any] = {
        "ruleset": ruleset,
        "population": {
            "system": agents - 2 * third,
            "independent": third,
            "control": third,
            "maximum": max(LEAST_MAXIMUM, GROWTH * agents),
        },
    }
    for path, value in map(_pair, parameters):
        *groups, last = path.split(".")
        group = made
        for each in groups:
            group = group.setdefault(each, {})
        group[last] = _value(value)
    return made


def _pair(given: str) -> tuple[str, str]:
    path, sign, value = given.partition("=")
    if not sign or not path:
        message = f"{given!r} is not path=value."
        raise Malformed(message)
    return path, value


def _range(given: str) -> tuple[str, GivenRange]:
    path, value = _pair(given)
    low, _, high = value.partition(":")
    whole = "." not in value
    try:
        return path, GivenRange(low=float(low), high=float(high), whole=whole)
    except ValueError as error:
        message = f"{given!r} is not path=low:high."
        raise Malformed(message) from error


def _value(text: str) -> Value:
    try:
        found: Value = msgspec.json.decode(text, type=Value)
    except msgspec.MsgspecError:
        return text
    return found
