"""A run as it was recorded: chunks of rows, and what it takes to read them."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec


ImageKind = Literal["png", "svg"]

ROW_BYTES: Final = 80

MEDIA: Final[Mapping[ImageKind, str]] = {"png": "image/png", "svg": "image/svg+xml"}


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of each table for some steps, up to and with one of them."""

    tables: dict[str, bytes]
    upto: int | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is of, and what its charts are drawn as.

    The map is of `step`, or of the last that has states.
    """

    title: str
    about: list[tuple[str, str]]
    step: int | None = None
    image: ImageKind = "png"


class Recording(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A run: its seed and rules, and its pieces in order of steps.

    `complete` says that they hold the rows of every agent and step, `position` is that
    of the last fact of the run that they rest on. `about` is what people are told.
    """

    simulation_id: int
    position: int
    seed: int
    ruleset: str
    nodes: int
    complete: bool
    parameters: dict[str, Any]
    pieces: list[Piece]
    about: list[tuple[str, str]] = []

    @property
    def size(self) -> int:
        """Return how many bytes the rows take."""
        return sum(len(rows) for piece in self.pieces for rows in piece.tables.values())

    @property
    def empty(self) -> bool:
        """Say whether nothing was recorded."""
        return not self.pieces


class OutsideRecording(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A run that was made elsewhere: batches of rows as they were handed in.

    Only `tables` are of interest, which have so many `rows`; `last_step` is the last of
    any, -1 of none. What made it has no seed that is known here.
    """

    simulation_id: int
    position: int
    parameters: dict[str, Any]
    batches: list[bytes]
    tables: list[str]
    rows: int
    last_step: int
    about: list[tuple[str, str]] = []
    seed: None = None

    @property
    def size(self) -> int:
        """Return about how many bytes the rows take as columns."""
        return self.rows * ROW_BYTES

    @property
    def empty(self) -> bool:
        """Say whether nothing was recorded."""
        return not self.rows


AnyRecording = Recording | OutsideRecording
