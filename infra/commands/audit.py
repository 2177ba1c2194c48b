"""Commands about the audit log: list, export."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from events.errors import Malformed
from infra.commands.shared import OK, Where, Who, answer, run, screen
from infra.wiring import caught_up, core, database, projecting, reading
from projections.audit.audit_log import TABLE
from services.http import formats, queries
from services.http.limits import Limits
from services.http.queries import Query
from services.http.reading import Reader
from services.identity import Identity


PAGE: Final = 1_000
LIMITS: Final = Limits(page_rows=10_000)

audit: Final = App(name="audit", help="Say who did what, to what, and from where.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """The acts that are meant; all of them, where nothing is said."""

    actor: Annotated[str | None, Parameter(help="Who, as kind:id.")] = None
    on_behalf_of: Annotated[
        str | None, Parameter(help="For which user a service asked, as user:ID.")
    ] = None
    action: Annotated[
        str | None, Parameter(help="What, as playgrounds.*; * stands for anything.")
    ] = None
    resource_type: Annotated[
        str | None, Parameter(help="To what: playground, persona, user, ...")
    ] = None
    resource_id: Annotated[UUID | None, Parameter(help="To which one.")] = None
    command_id: Annotated[UUID | None, Parameter(help="By which command.")] = None
    address: Annotated[str | None, Parameter(help="From which address.")] = None
    since: Annotated[
        str | None, Parameter(help="Not before, as 2026-05-01T12:00:00Z.")
    ] = None
    until: Annotated[str | None, Parameter(help="Before, as since.")] = None

    @property
    def parameters(self) -> dict[str, str]:
        """Return what is meant in the query grammar of the read tables."""
        asked = {
            "actor": self.actor,
            "on_behalf_of": self.on_behalf_of,
            "action.like": self.action,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "command_id": self.command_id,
            "ip_address": self.address,
            "created_at.gte": self.since,
            "created_at.lt": self.until,
        }
        return {name: str(value) for name, value in asked.items() if value is not None}


@audit.command(name="list")
def list_acts(
    *,
    which: Which = Which(),
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
    limit: Annotated[
        int, Parameter(help="At most so many.", validator=Number(gte=1, lte=10_000))
    ] = 20,
) -> int:
    """List the newest acts, with what they changed."""
    settings = where.settings()

    async def work() -> int:
        async with (
            database(settings) as urls,
            core(settings, urls, name="audit") as parts,
            projecting(urls, parts),
            reading(urls) as reader,
        ):
            await caught_up(urls, (await parts.log.head()).position)
            found = await newest(reader, who.identity(settings), which, limit)
        answer(where, {"acts": found}, lambda: print_acts(found))
        return OK

    return run(where, work)


@audit.command
def export(
    *,
    which: Which = Which(),
    where: Where = Where(),  # noqa: B008 - frozen
    who: Who = Who(),  # noqa: B008 - frozen
    kind: Annotated[
        Literal["csv", "ndjson"], Parameter(name="--format", help="The form of a row.")
    ] = "csv",
    output: Annotated[
        Path | None, Parameter(help="The file to write; else standard output.")
    ] = None,
) -> int:
    """Write acts, the oldest first."""
    settings = where.settings()

    async def work() -> int:
        if where.json and output is None:
            raise Malformed("With --json the rows need a file.", path="output")
        parameters = {**which.parameters, "limit": str(PAGE)}
        written, after = 0, 0
        with ExitStack() as files:
            async with (
                database(settings) as urls,
                core(settings, urls, name="audit") as parts,
                projecting(urls, parts),
                reading(urls) as reader,
            ):
                await caught_up(urls, (await parts.log.head()).position)
                _query(parameters)
                target = files.enter_context(_opened(output))
                while True:
                    query = _query({**parameters, "position.gt": str(after)})
                    rows = await reader.read(
                        who.identity(settings), query.sql, query.args
                    )
                    page = rows[:PAGE]
                    if kind == "csv":
                        lines = formats.as_csv(page, query.columns)
                        target.write(lines if after == 0 else _headless(lines))
                    else:
                        shown = [formats.plain(row, query.columns) for row in page]
                        target.write(formats.as_lines(shown))
                    written += len(page)
                    if len(rows) <= PAGE:
                        break
                    after = page[-1]["position"]
        if output is not None:
            told = {"file": str(output), "acts": written}
            answer(where, told, lambda: screen.print(f"{output}: {written} acts"))
        return OK

    return run(where, work)


def _query(parameters: dict[str, str]) -> Query:
    return queries.listing(TABLE, parameters, secret=b"", limits=LIMITS)


def _headless(lines: bytes) -> bytes:
    """Return lines of CSV without the line of names, which holds no line break."""
    return lines.partition(b"\r\n")[2]


def _opened(output: Path | None) -> BinaryIO:
    if output is None:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    try:
        return output.open("wb")
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror}."
        raise Malformed(message, path="output") from error


async def newest(
    reader: Reader, identity: Identity, which: Which, limit: int
) -> list[dict[str, Any]]:
    """Return the newest acts of those that are meant, as far as one may see them."""
    asked = {**which.parameters, "sort": "-position", "limit": str(limit)}
    query = _query(asked)
    rows = await reader.read(identity, query.sql, query.args)
    return [formats.plain(row, query.columns) for row in rows[:limit]]


def print_acts(found: list[dict[str, Any]]) -> None:
    """Print acts, each with what it changed."""
    for each in found:
        address = f" from {each['ip_address']}" if each["ip_address"] else ""
        what = f"{each['action']} {each['resource_type']} {each['resource_id'] or ''}"
        behalf = f" for {each['on_behalf_of']}" if each["on_behalf_of"] else ""
        lines = (
            f"{each['position']}  {each['created_at']:%Y-%m-%d %H:%M:%S}  {what}",
            f"    by {each['actor']}{behalf}{address}",
            *(f"    {line}" for line in _changes(each)),
        )
        for line in lines:
            screen.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def _changes(act: dict[str, Any]) -> list[str]:
    """Return what an act changed, as lines `name: before -> now`."""
    old = msgspec.json.decode(act["old_values"] or b"{}")
    new = msgspec.json.decode(act["new_values"] or b"{}")
    return [
        (f"{name}: {_short(old[name])} -> " if name in old else f"{name}: ")
        + (_short(new[name]) if name in new else "")
        for name in dict.fromkeys((*new, *old))
    ]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line
