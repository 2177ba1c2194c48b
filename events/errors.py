"""The failures of the system, sorted by who must act; edges map them once."""


class Failure(Exception):  # noqa: N818 - the field says "refused", not "refused error"
    """A request that did not happen; the message is the class's docstring unless given.

    `path` is the dotted path of the field at fault, as in `$.events[3].text`,
    where one field is at fault.
    """

    def __init__(self, message: str | None = None, *, path: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        self.path = path


class Malformed(Failure):
    """The request cannot be decoded."""


class Unauthenticated(Failure):
    """There is no valid token."""


class Forbidden(Failure):
    """This actor may not do this."""


class Missing(Failure):
    """There is no such thing."""


class Refused(Failure):
    """A rule says no."""


class Mismatch(Refused):
    """This command id was already used with another body."""


class Closed(Refused):
    """The stream is closed."""


class Fenced(Refused):
    """The work was taken over by another worker."""


class Conflict(Failure):
    """Someone was faster."""

    def __init__(
        self,
        message: str | None = None,
        *,
        path: str | None = None,
        actual: int | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.actual = actual


class TooLarge(Failure):
    """The request passes a documented limit."""


class TooMany(Failure):
    """The request passes a rate."""

    def __init__(self, message: str | None = None, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(Failure):
    """Something that we need is away; the outcome of a write is unknown."""
