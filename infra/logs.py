"""Logs for operators: one line of JSON for each fact, on standard error.

A terminal gets coloured lines instead. Passwords in URLs, bearer tokens and values
under secret names never reach a line. Libraries that log through `logging` come out
in the same form.
"""

import logging
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, BinaryIO, Final, Literal, TextIO

import msgspec
import structlog
from structlog import DropEvent
from structlog.typing import BindableLogger, EventDict, Processor, WrappedLogger

from infra.clock import now
from infra.settings import REDACTED, is_suspicious, redacted
from services import log_context


SECRET_NAME: Final = re.compile(
    r"(?i)(^|_)(password|passwd|secret|token|authorization|cookie|api_?key|master_?key)$"
)
# What these log of every lost connection, with tracebacks, our own lines tell in one.
NOISY: Final = ("aiormq", "aio_pika", "asyncpg")
LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
NAMES: Final = {number: name for name, number in LEVELS.items()}


def configure_logs(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    form: Literal["auto", "json", "console"] = "auto",
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process; once, before the first logger is used."""
    output = stream or sys.stderr
    console = form == "console" or (form == "auto" and output.isatty())
    processors: list[Processor]
    factory: Callable[..., object]
    if console:
        colours = output.isatty()
        people = structlog.dev.ConsoleRenderer(
            colors=colours,
            # The usual one shows local variables, and so what nobody may see.
            exception_formatter=structlog.dev.plain_traceback,
        )
        processors = [
            log_context.merge,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            strike_secrets,
            people,
        ]
        factory = structlog.WriteLoggerFactory(file=output)
    else:
        processors = [render]
        lines = Lines(output.buffer)

        def factory(*_names: object) -> Lines:
            return lines

    structlog.configure(
        processors=processors,
        wrapper_class=_logger_from(LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        handlers=[Forward()], level=max(LEVELS[level], logging.WARNING), force=True
    )
    for name in NOISY:
        quiet = logging.NOTSET if level == "debug" else logging.CRITICAL
        logging.getLogger(name).setLevel(quiet)


def _logger_from(level: int) -> type[BindableLogger]:
    """Return the class of loggers that write nothing below a level.

    A line is the mapping that its values came in, and goes through the processors
    without being copied.
    """
    filtering: Any = structlog.make_filtering_bound_logger(level)

    class Logger(filtering):  # type: ignore[misc] # structlog makes it
        def log(
            self,
            severity: int,
            /,
            event: str,
            *args: object,
            **line: Any,  # noqa: ANN401 - whatever is logged
        ) -> None:
            name = NAMES.get(severity)
            if args or name is None:
                super().log(severity, event, *args, **line)
            elif severity >= level:
                self._tell(name, event, line)

        def _proxy_to_logger(
            self,
            method_name: str,
            event: str | None = None,
            **line: Any,  # noqa: ANN401 - whatever is logged
        ) -> None:
            self._tell(method_name, event, line)

        def _tell(self, name: str, event: str | None, line: EventDict) -> None:
            told: Any = {**self._context, **line} if self._context else line
            told["event"] = event
            try:
                for process in self._processors:
                    told = process(self._logger, name, told)
            except DropEvent:
                return
            getattr(self._logger, name)(told)

    return Logger


def strike_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Strike secrets out of a line's values, at any depth."""
    return {name: _struck(name, value) for name, value in line.items()}


def render(logger: WrappedLogger, method: str, line: EventDict) -> bytes:
    """Return a line as JSON, with its context, level and time, and without secrets.

    Nearly all lines are plain, and show in their JSON that they hold no secret.
    """
    line = log_context.merge(logger, method, line)
    if "exc_info" in line:
        line = structlog.processors.format_exc_info(logger, method, line)
    line["level"] = method
    line["timestamp"] = now()
    try:
        told = PLAIN.encode(line)
    except BREAKS:
        return _json(strike_secrets(logger, method, line))
    text = told.decode()
    # Names inside a value begin with a second brace; what else a value says is text.
    if text.find("{", 1) > 0 or is_suspicious(text) or _any_secret(tuple(line)):
        return _json(strike_secrets(logger, method, line))
    return told


class Lines:
    """Writes each line at once and whole, also where threads write at a time.

    What a stream does not take of a line goes through its buffer, which insists.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._raw: BinaryIO = getattr(stream, "raw", stream)
        self._lock = Lock()

    def msg(self, line: bytes) -> None:
        """Write a line."""
        told = line + b"\n"
        with self._lock:
            written = self._raw.write(told)
            if written != len(told):
                self._stream.write(told[written or 0 :])
                self._stream.flush()

    debug = info = warning = error = critical = msg


class Forward(logging.Handler):
    """Hands the records of other libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as `library_logged`."""
        log = structlog.get_logger()
        log.log(
            min(record.levelno, logging.ERROR),
            "library_logged",
            library=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


PLAIN: Final = msgspec.json.Encoder()
ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
BREAKS: Final = (ValueError, TypeError, OverflowError, RecursionError)


def _json(line: EventDict) -> bytes:
    """Return a line as JSON; what JSON cannot say appears as its repr."""
    try:
        return ENCODER.encode(line)
    except BREAKS:
        return ENCODER.encode({ascii(key): ascii(line[key]) for key in line})


@lru_cache(maxsize=1_024)
def _any_secret(names: tuple[str, ...]) -> bool:
    return any(map(_is_secret, names))


@lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    return SECRET_NAME.search(name) is not None


def _struck(name: str, value: object) -> object:
    if value is not None and _is_secret(name):
        return REDACTED
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {str(key): _struck(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_struck("", inner) for inner in value]
    if isinstance(value, BaseException):
        return redacted(repr(value))
    return value
