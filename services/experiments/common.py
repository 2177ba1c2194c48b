"""What the commands of the experiments context share: base, limits, plain refusals."""

from typing import Annotated, Final, TypeAlias, TypeVar

from msgspec import Meta

from events.errors import Refused
from events.message import Command


class ExperimentsCommand(
    Command, frozen=True, kw_only=True, tag=lambda name: f"experiments.{name}"
):
    """A request about experiments with simulated populations."""


MAX_STEPS: Final = 1_000_000
MAX_SIMULATIONS: Final = 10_000

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
Description = Annotated[str, Meta(max_length=4_096)]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]
Path = Annotated[str, Meta(min_length=1, max_length=100)]
Whole = Annotated[int, Meta(ge=-9_007_199_254_740_992, le=9_007_199_254_740_992)]
Given = float | Whole | bool | Annotated[str, Meta(max_length=200)] | None
Parameters = Annotated[dict[Path, Given], Meta(max_length=100)]
Seed = Annotated[int, Meta(ge=0, le=9_223_372_036_854_775_807)]
Steps = Annotated[int, Meta(ge=1, le=MAX_STEPS)]
Step = Annotated[int, Meta(ge=0, le=MAX_STEPS)]
Number = Annotated[int, Meta(ge=1, le=MAX_SIMULATIONS)]
AtATime = Annotated[int, Meta(ge=1, le=1_000)]

T = TypeVar("T")
Listed = Annotated[list[T], Meta(max_length=10_000)]
Named = Annotated[dict[Annotated[str, Meta(max_length=200)], T], Meta(max_length=1_000)]
Single: TypeAlias = (
    float | Whole | bool | Annotated[str, Meta(max_length=10_000)] | None
)
Shallow: TypeAlias = Single | Listed[Single] | Named[Single]
Deep: TypeAlias = Single | Listed[Shallow] | Named[Shallow]
Deeper: TypeAlias = Single | Listed[Deep] | Named[Deep]
Json: TypeAlias = Named[Single | Listed[Deeper] | Named[Deeper]]
"""What others say of their own simulations, at most five levels deep."""


class AlreadyExists(Refused):
    """There is another one with this id."""


class Ended(Refused):
    """It is over."""
