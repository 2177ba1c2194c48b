"""What every log line of one piece of work says, bound once, in the task that does it.

It is one mapping, replaced and never changed, so that a line takes it in one step.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from structlog.typing import EventDict, WrappedLogger


_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})

_bound: Final[ContextVar[Mapping[str, object]]] = ContextVar(
    "log_context", default=_NOTHING
)


def bind(**values: object) -> None:
    """Have the lines that follow say these values too."""
    known = _bound.get()
    _bound.set({**known, **values} if known else values)


def clear() -> None:
    """Have the lines that follow say nothing that was bound before."""
    _bound.set(_NOTHING)


@contextmanager
def bound(**values: object) -> Iterator[None]:
    """Have the lines of a block say these values too."""
    token = _bound.set({**_bound.get(), **values})
    try:
        yield
    finally:
        _bound.reset(token)


def merge(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Add to a line what is bound; of two values of a name, the line's stands."""
    for name, value in _bound.get().items():
        line.setdefault(name, value)
    return line
