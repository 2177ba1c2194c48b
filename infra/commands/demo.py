"""The command that shows everything on a machine that has nothing: demo.

It runs the same supervisor, roles and commands as production; only the data are small.
All its ids but those of its live runs are derived, so that a second demo in the same
folder only holds those again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Final
from uuid import UUID

import aiohttp
import msgspec
from cyclopts import Parameter
from rich.table import Table as Grid

from events.ids import PersonaId
from events.message import Command
from infra.believing import issuer
from infra.carrying import carrying
from infra.clock import derived_id
from infra.commands.demo_playground import judged
from infra.commands.demo_population import Populated, compiling, populated
from infra.commands.killing import Interrupted, hold_twice
from infra.commands.runs import print_reliability
from infra.commands.shared import (
    FAILED,
    OK,
    OPERATOR,
    Broker,
    Where,
    Who,
    answer,
    progress,
    run,
    screen,
)
from infra.commands.up import environment_of, roles_of
from infra.embedded.broker import Carrier, at_hand
from infra.embedded.server import free_port
from infra.mail.outbox import outbox
from infra.operations.importing import Summary, import_tau_bench
from infra.operations.judging import Judged
from infra.operations.scoring import scored
from infra.sample import recorded
from infra.settings import RABBITMQ, Settings, SetupError
from infra.supervisor import supervise
from infra.tokens import Issuer
from infra.wiring import Urls, caught_up, core, database, reading
from services.client.client import Client
from services.http.reliability import reliability
from services.testing.personas import (
    AddPersonaVersion,
    ChangePersonaDetails,
    CreatePersona,
    DeletePersona,
)


SPACE: Final = UUID("b8a5ad6e-6c3f-5d0a-9f6e-6c2f6f0c9d11")
START_SECONDS: Final = 60.0
WORKERS: Final = 2
LEASE_SECONDS: Final = 4.0  # what a dead worker held is soon taken over

TABLES: Final[Mapping[str, Sequence[str]]] = {
    "simulation_personas": ("name", "role", "latest_version_background"),
    "simulation_scenarios": ("name", "latest_version_objective"),
    "simulation_unit_tests": ("name", "max_interactions"),
    "simulation_unit_test_sets": ("name", "description"),
    "simulation_unit_test_set_runs": (
        "status",
        "trial_count",
        "passed_count",
        "failed_count",
    ),
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo came to."""

    url: str
    data_dir: str
    commands: int
    broker: str
    summary: Summary
    live: Interrupted
    judged: Judged
    populated: Populated
    rows: dict[str, int]

    @property
    def ok(self) -> bool:
        """Whether the killed worker did no harm, and no step was missing."""
        unharmed = self.live.each_ended_once and self.live.same_verdicts
        return unharmed and self.populated.ok


def demo(
    *,
    where: Where = Where(),  # noqa: B008 - frozen
    once: Annotated[bool, Parameter(negative="", help="Stop when done.")] = False,
    http_port: Annotated[int | None, Parameter(help="Port of the API.")] = None,
    broker: Broker = None,
) -> int:
    """Start a stack, send commands, import a sample, hold a set while a worker dies.

    Testers sign in and fill a playground; an experiment is shown live while it is made.
    Work is carried by RabbitMQ where one is given, runs here or is installed, and by
    PostgreSQL elsewhere.
    """
    settings = where.settings(
        broker=broker,
        lease_seconds=LEASE_SECONDS,
        http_port=_port(http_port, where.settings().http_port),
        admin_port=_port(None, where.settings().admin_port),
        log_level=where.log_level or "warning",
    )

    async def work() -> int:
        development = issuer(settings)
        if development is None:
            message = "the demo needs an embedded stack, but addresses were given"
            raise SetupError(message)
        if outbox(settings) is None:
            message = (
                "the demo's testers read letters here, but a mail server was given"
            )
            raise SetupError(message)
        _say("Starting PostgreSQL, a broker, the API, projections, two workers")
        async with (
            database(settings, join=False) as urls,
            _carrier(settings) as carrier,
        ):
            screen.print(f"  work is carried by {carrier.name}", highlight=False)
            pids: dict[str, int] = {}
            roles = asyncio.create_task(
                supervise(
                    roles_of(settings, carrier, workers=WORKERS),
                    environment=environment_of(settings, carrier),
                    started=pids.__setitem__,
                )
            )
            telling = _story(settings, urls, development, carrier, pids)
            story = asyncio.create_task(telling)
            await asyncio.wait((roles, story), return_when=asyncio.FIRST_COMPLETED)
            if roles.done():
                story.cancel()
                await asyncio.gather(story, return_exceptions=True)
                return await roles
            try:
                shown = await story
                answer(where, shown, lambda: _farewell(shown, once=once))
                if not once:
                    return await roles
            finally:
                roles.cancel()
                await asyncio.gather(roles, return_exceptions=True)
        return OK if shown.ok else FAILED

    return run(where, work)


@asynccontextmanager
async def _carrier(settings: Settings) -> AsyncIterator[Carrier]:
    """Yield what carries work: a RabbitMQ that is at hand, unless something is asked.

    One that does not start is no reason to show nothing.
    """
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        if settings.broker is None and await at_hand():
            rabbit = msgspec.structs.replace(settings, broker=RABBITMQ)
            try:
                carrier = await enter(carrying(rabbit, join=False))
            except SetupError as error:
                screen.print(f"  no RabbitMQ: {error}", markup=False, highlight=False)
                carrier = await enter(carrying(settings, join=False))
        else:
            carrier = await enter(carrying(settings, join=False))
        yield carrier


def _port(asked: int | None, usual: int) -> int:
    """Return the port that was asked for, or the usual one, or one that is free."""
    return asked if asked is not None else free_port(usual)


async def _story(
    settings: Settings,
    urls: Urls,
    development: Issuer,
    carrier: Carrier,
    pids: Mapping[str, int],
) -> Shown:
    await _ready(f"http://{settings.admin_host}:{settings.admin_port}/readyz")
    url = f"http://{settings.http_host}:{settings.http_port}"
    who = Who()

    def token() -> str:
        return development.issue(OPERATOR, org=who.org, roles=["admin"])

    async with Client(url, token) as client, compiling(settings) as compiled:
        sent = await _commands(client)
        summary = await _import(settings, urls, who)
        _say("Holding a set live, twice with one seed, and killing a worker")
        async with core(settings, urls, name="demo") as parts:
            live = await hold_twice(client, parts, pids)
        await caught_up(urls, live.position)
        evaluated = await judged(url, development, settings, urls, who)
        async with core(settings, urls, name="demo") as parts:
            farmed = await populated(client, parts, settings, who, compiled)
        await caught_up(urls, farmed.position)
        rows = {name: await _table(client, name) for name in TABLES}
    async with reading(urls) as reader:
        found = await reliability(reader, who.identity(settings), str(summary.run_id))
    print_reliability(found)
    return Shown(
        url=url,
        data_dir=str(settings.data_dir),
        commands=sent + summary.commands,
        broker=carrier.name,
        summary=summary,
        live=live,
        judged=evaluated,
        populated=farmed,
        rows=rows,
    )


async def _ready(url: str) -> None:
    """Return when a stack says that it is ready."""
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while asyncio.get_running_loop().time() < deadline:
            try:
                async with session.get(url) as response:
                    if response.ok:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    message = f"the stack was not ready after {START_SECONDS:.0f} s"
    raise SetupError(message)


async def _commands(client: Client) -> int:
    """Send commands over HTTP, each read back at its own position."""
    _say("Sending commands to POST /v1/commands")
    hurried, mistaken = (PersonaId(derived_id(SPACE, name)) for name in ("a", "b"))
    commands: list[Command] = [
        CreatePersona(
            persona_id=hurried,
            name="Hurried reader",
            role="customer",
            background="Wants one answer, now, and reads only first sentences.",
            tags={"mood": "impatient"},
        ),
        AddPersonaVersion(
            persona_id=hurried,
            background="Wants one answer, now; leaves after the second question.",
        ),
        ChangePersonaDetails(persona_id=hurried, tags={"mood": "very impatient"}),
        CreatePersona(
            persona_id=mistaken,
            name="Made by mistake",
            role="customer",
            background="Nobody needs this one.",
        ),
        DeletePersona(persona_id=mistaken),
    ]
    first = 0
    for number, command in enumerate(commands):
        outcome = await client.send(
            command, command_id=derived_id(SPACE, f"command {number}")
        )
        first = first or outcome.position
        screen.print(
            f"  {type(command).__name__:<22} {outcome.status:<9} position "
            f"{outcome.position}, version {outcome.version}",
            highlight=False,
        )
        row = await client.row(
            "testing.simulation_personas",
            command.persona_id,  # type: ignore[attr-defined]
            min_position=outcome.position,
        )
        screen.print(
            f"    read back: {row['name']}, version {row['latest_version']}, "
            f"deleted {row['is_deleted']}",
            highlight=False,
        )
    then = await client.row("testing.simulation_personas", hurried, as_of=first)
    screen.print(
        f"  and as of position {first}: version {then['version']} of its stream, "
        f"tags {then['state']['tags']}",
        highlight=False,
        markup=False,
    )
    return len(commands)


async def _import(settings: Settings, urls: Urls, who: Who) -> Summary:
    _say("Importing a recorded sample as a set run")
    sample = recorded()
    async with core(settings, urls, name="demo") as parts:
        with progress() as bar:
            task = bar.add_task("importing", total=None)
            summary = await import_tau_bench(
                sample,
                handler=parts.handler,
                blobs=parts.blobs,
                meta=who.meta(settings),
                progress=lambda done, total: bar.update(
                    task, completed=done, total=total
                ),
            )
        await caught_up(urls, summary.position)
    async with reading(urls) as reader:
        return await scored(reader, who.identity(settings), summary)


async def _table(client: Client, name: str) -> int:
    """Print the first rows of a table and return how many it has."""
    columns = TABLES[name]
    rows: list[dict[str, Any]] = [
        row async for row in client.rows(f"testing.{name}", fields=("_id", *columns))
    ]
    grid = Grid(*columns, title=f"testing.{name}: {len(rows)} rows")
    for row in rows[:5]:
        grid.add_row(*(_short(row[column]) for column in columns))
    screen.print(grid)
    return len(rows)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - a column's width


def _say(text: str) -> None:
    screen.rule(text, align="left")


def _farewell(shown: Shown, *, once: bool) -> None:
    if once:
        screen.print(f"Done; the data stay in {shown.data_dir}.")
        return
    _say("The stack stays up until Ctrl-C")
    here = f"--data-dir {shown.data_dir}"
    read = f"{shown.url}/v1/testing/simulation_personas"
    for line in (
        f"documents:  {shown.url}/v1/docs",
        f"a token:    TOKEN=$(rehearsal token {here})",
        f'a read:     curl -H "Authorization: Bearer $TOKEN" {read}',
        f"the proof:  rehearsal verify {here}",
    ):
        screen.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
