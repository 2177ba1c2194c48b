"""What every command of the command line shares: where, in what form, and as whom."""

import gc
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import uvloop
from cyclopts import Parameter
from rich.console import Console

from events.errors import Failure
from events.message import Meta
from infra.clock import new_id, now
from infra.logs import configure_logs
from infra.settings import (
    POSTGRES,
    RABBITMQ,
    Settings,
    SettingsError,
    SetupError,
    load_settings,
)
from services.identity import Identity


if TYPE_CHECKING:
    from rich.progress import Progress

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
MISCONFIGURED: Final = 78

ORG: Final = "local"
OPERATOR: Final = "user:operator"

Level = Literal["debug", "info", "warning", "error"]
AdminPort = Annotated[
    int | None, Parameter(help="Port of health, metrics; none unless given.")
]
Broker = Annotated[
    str | None,
    Parameter(
        help="What carries work: postgres, rabbitmq (one that runs here or can be had),"
        " or the amqp:// address of one; the setting's."
    ),
]

screen: Final = Console(stderr=True, markup=False, emoji=False)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which stack a command is for, and in what form it answers."""

    data_dir: Annotated[Path | None, Parameter(help="Folder of an embedded stack.")] = (
        None
    )
    json: Annotated[
        bool, Parameter(negative="", help="Answer one JSON object on standard output.")
    ] = False

    log_level: Annotated[
        Level | None, Parameter(help="The least grave lines to log.")
    ] = None

    def settings(self, **overrides: object) -> Settings:
        """Return the settings; options win over the environment.

        Reports what is wrong with them and leaves.
        """
        given = {"data_dir": self.data_dir, "log_level": self.log_level, **overrides}
        try:
            if given.get("broker") == RABBITMQ:
                # Whose address is set is the RabbitMQ that is meant.
                usual = load_settings({**given, "broker": None})
                if usual.broker not in {None, POSTGRES}:
                    return usual
            return load_settings(given)
        except SettingsError as error:
            raise SystemExit(_report(self, error, MISCONFIGURED)) from error


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Who:
    """The organisation that a command is for."""

    org: Annotated[str, Parameter(help="The organisation to act in.")] = ORG

    def meta(self, settings: Settings) -> Meta:
        """Return the envelope of a new command by the operator of this machine."""
        command_id = new_id()
        return Meta(
            command_id=command_id,
            org_id=self.org,
            region=settings.region,
            actor=OPERATOR,
            correlation_id=command_id,
            occurred_at=now(),
            roles=frozenset({"admin"}),
            scopes=frozenset({"import"}),
        )

    def identity(self, settings: Settings) -> Identity:
        """Return who reads: the operator of this machine."""
        return Identity(
            org_id=self.org,
            region=settings.region,
            actor=OPERATOR,
            roles=frozenset({"admin"}),
        )


def run(
    where: Where,
    work: Callable[[], Coroutine[Any, Any, int]],
    *,
    logging: Settings | None = None,
) -> int:
    """Run a command's work; report what stops it, and return the exit code.

    A role is `logging` as its settings say; other commands log warnings only.
    """
    gc.freeze()  # what was imported is looked through no more, nor at the end
    try:
        if logging is not None:
            configure_logs(level=logging.log_level, form=logging.log_format)
        else:
            configure_logs(level=where.log_level or "warning")
        return uvloop.run(work())
    except SetupError as error:
        return _report(where, error, MISCONFIGURED)
    except Failure as error:
        return _report(where, error, FAILED)
    except KeyboardInterrupt:
        return 130


def answer(where: Where, value: object, show: Callable[[], None]) -> None:
    """Print an answer: one JSON object, or what people read."""
    if where.json:
        sys.stdout.buffer.write(msgspec.json.encode(value, enc_hook=str) + b"\n")
        sys.stdout.flush()
    else:
        show()


def progress() -> "Progress":
    """Return a progress bar with the time left, drawn on standard error."""
    from rich import progress as bars  # noqa: PLC0415 - seldom used

    return bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
        console=screen,
        transient=True,
    )


def _report(where: Where, error: Exception, code: int) -> int:
    path = getattr(error, "path", None)
    problem: Mapping[str, object] = {
        "problem": type(error).__name__,
        "detail": str(error),
        **({"path": path} if path else {}),
    }
    if where.json:
        sys.stdout.buffer.write(msgspec.json.encode(problem) + b"\n")
    screen.print(
        f"rehearsal: {error}" + (f" (at {path})" if path else ""),
        style="red",
        markup=False,
        highlight=False,
    )
    return code
