"""The campaigns, one after the other on one system, each followed by an audit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from time import monotonic
from typing import Any, Final

import msgspec

from infra.embedded.ladder import own_programs
from projections.catalogue import TABLES
from tests.chaos.findings import Findings, Violation
from tests.fuzz import (
    amqp,
    audit,
    bodies,
    commands,
    decoders,
    files,
    reading,
    sockets,
    tokens,
)
from tests.fuzz.counting import Counts
from tests.fuzz.stack import Stack, own_stack
from tests.fuzz.wire import Wire
from tests.rabbit_ladder import temporary_broker


SUBJECTS: Final = ("http", "amqp", "decoders", "files", "cli")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much to try; `requests` and `messages` are by chance, beside fixed lists.

    `tables` are the first so many, all unless told. `operations` is a pattern of the
    paths that schemathesis asks; none: it is left out.
    """

    subjects: Sequence[str] = SUBJECTS
    requests: int = 8_000
    messages: int = 5_000
    examples: int = 20
    decoder_examples: int = 5_000
    processes: int = 12
    tables: int | None = None
    operations: str | None = ""
    seed: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried, what came of it, and what was wrong."""

    seed: int
    seconds: float
    cases: int
    counts: Counts
    checks: int
    took: Mapping[str, float]
    violations: Mapping[str, Violation]

    def text(self) -> str:
        """Return the report as people read it."""
        took = ", ".join(f"{name} {spent:.0f} s" for name, spent in self.took.items())
        total = sum(each.count for each in self.violations.values())
        lines = [
            f"fuzz: seed {self.seed}, {self.seconds:.0f} s ({took})",
            *self.counts.lines(),
            (
                f"{'accepted':<11} {self.counts.commands:,} commands, "
                f"{self.counts.events:,} events, {len(self.counts.blobs):,} blobs"
            ),
            f"{'verified':<11} {self.checks} checks of the log and the read tables",
            f"{'violations':<11} {total:,}",
        ]
        for name, violation in sorted(self.violations.items()):
            lines.append(f"  {violation.count:>8,}  {name}")
            lines += [f"            {example}" for example in violation.examples]
        return "\n".join(lines)


async def run(options: Options, *, postgres: str | None = None) -> Report:
    """Run the campaigns on a system of their own."""
    findings = Findings()
    started = monotonic()
    took: dict[str, float] = {}
    counts, checks = Counts(), 0
    if "decoders" in options.subjects:
        await asyncio.to_thread(
            decoders.campaign,
            findings,
            counts,
            examples=options.decoder_examples,
            start=options.seed,
        )
        took["decoders"] = monotonic() - started
    if set(options.subjects) - {"decoders"}:
        async with own_stack(findings, postgres=postgres) as stack:
            async with _brokered(options) as broker:
                checks = await exercise(stack, options, took, broker=broker)
            counts = counts.plus(stack.counts)
    return Report(
        seed=options.seed,
        seconds=monotonic() - started,
        cases=counts.cases.total(),
        counts=counts,
        checks=checks,
        took=took,
        violations=findings.violations,
    )


@asynccontextmanager
async def _brokered(options: Options) -> AsyncIterator[str | None]:
    """Yield the address of a broker of our own, where one is needed."""
    if "amqp" not in options.subjects:
        yield None
        return
    rung = own_programs()
    if rung is None or rung.programs is None:
        message = "there is no RabbitMQ on this machine: leave out the subject amqp"
        raise SystemExit(message)
    programs = await asyncio.to_thread(rung.programs)
    async with temporary_broker(programs) as broker:
        yield broker.url


async def exercise(
    stack: Stack,
    options: Options,
    took: dict[str, float],
    *,
    broker: str | None = None,
) -> int:
    """Run the campaigns that need a system, audit it, and return how many checks."""
    before = await stack.stored()
    if "http" in options.subjects:
        given = (stack.port, stack.token(), stack.counts, stack.findings)
        with closing(Wire(*given, seed=options.seed)) as wire:
            for name, campaign in over_http(wire, stack, options).items():
                started = monotonic()
                await asyncio.to_thread(campaign)
                took[name] = monotonic() - started
                await audit.check_stored(stack, before, name)
    if broker is not None:
        started = monotonic()
        await amqp.campaign(
            stack, broker, messages=options.messages, start=options.seed
        )
        took["amqp"] = monotonic() - started
        await audit.check_stored(stack, before, "amqp")
    if {"files", "cli"} & set(options.subjects):
        started = monotonic()
        processes = options.processes if "cli" in options.subjects else 0
        await files.campaign(stack, processes=processes)
        took["files"] = monotonic() - started
        await audit.check_stored(stack, before, "files")
    started = monotonic()
    checks = await audit.check_whole(stack)
    took["audit"] = monotonic() - started
    audit.check_complaints(stack)
    return checks


def over_http(
    wire: Wire, stack: Stack, options: Options
) -> dict[str, Callable[[], Any]]:
    """Return the campaigns over HTTP, in order."""
    seed, requests = options.seed, options.requests
    tables = list(TABLES.values())[: options.tables]
    found: dict[str, Callable[[], Any]] = {
        "tokens": lambda: tokens.campaign(wire, stack),
        "bodies": lambda: bodies.campaign(wire, stack),
        "sockets": lambda: sockets.campaign(wire),
        "repeats": lambda: commands.repeat(wire, times=20, start=seed),
        "commands": lambda: commands.campaign(
            wire, requests=requests * 3 // 4, start=seed
        ),
        "reading": lambda: reading.campaign(
            wire, tables, requests=requests // 4, start=seed
        ),
    }
    if options.operations is not None:
        # It takes a second to import.
        from tests.fuzz import described  # noqa: PLC0415

        found["schemathesis"] = lambda: described.campaign(
            wire,
            examples=options.examples,
            start=seed,
            operations=options.operations or "",
        )
    return found
