"""What the commands of the access context share: base, limits and plain refusals."""

from typing import Annotated, Final

from msgspec import Meta

from events.errors import Missing, Refused
from events.message import Command


class AccessCommand(
    Command, frozen=True, kw_only=True, tag=lambda name: f"access.{name}"
):
    """A request about people and what they may do."""


ADDRESS: Final = r"^[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,190}$(?!\n)"
HANDLE: Final = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{1,30}[A-Za-z0-9])$(?!\n)"
WEB: Final = r"^(https://[^\s\"<>]+)?$(?!\n)"

Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=ADDRESS)]
Username = Annotated[str, Meta(min_length=3, max_length=32, pattern=HANDLE)]
FullName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
Bio = Annotated[str, Meta(max_length=4_096)]
WebAddress = Annotated[str, Meta(max_length=500, pattern=WEB)]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]


class AlreadyExists(Refused):
    """There is another one with this id."""


class NoSuchUser(Missing):
    """There is no such user."""


class Deactivated(Refused):
    """The account is deactivated."""
