"""What the deciders of this context ask of each other, and nobody else of them."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from events.ids import EvaluationId, PlaygroundId, QuestionId, SubjectId
from events.playgrounds.allocations import Lapse, Return, SlotReserved
from services.playgrounds.common import PlaygroundsCommand


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ledger goes by: each model's cap, and for whom, how long, and whether."""

    places: Mapping[str, int]
    repetitions: int | None
    hold_seconds: int
    revision: int
    is_open: bool


class OpenLedger(PlaygroundsCommand, frozen=True, kw_only=True):
    """Open the ledger of a playground that is created."""

    playground_id: PlaygroundId
    owner: str
    seed: int
    terms: Terms


class AdjustLedger(PlaygroundsCommand, frozen=True, kw_only=True):
    """Give places by other terms from now on."""

    playground_id: PlaygroundId
    terms: Terms


class CloseLedger(PlaygroundsCommand, frozen=True, kw_only=True):
    """Close a ledger, unless it ever gave a place."""

    playground_id: PlaygroundId


class ConsumeSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Use a reserved place, for an evaluation that is submitted."""

    playground_id: PlaygroundId
    session_id: EvaluationId


class ReleaseSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Release a reserved place, for an evaluation that is given up."""

    playground_id: PlaygroundId
    session_id: EvaluationId


class ExpireSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Release a place whose time is over, if it is still reserved."""

    playground_id: PlaygroundId
    session_id: EvaluationId


class ReturnSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Free a used place, for an evaluation that does not count any more."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    model_key: str
    reason: Return


class AdmitSlot(PlaygroundsCommand, frozen=True, kw_only=True):
    """Count a place that was used elsewhere."""

    playground_id: PlaygroundId
    session_id: EvaluationId
    tester: str
    model_key: str


class OpenEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """Open the evaluation that a place was reserved for."""

    session_id: EvaluationId
    slot: SlotReserved
    owner: str
    subject_id: SubjectId


class LapseEvaluation(PlaygroundsCommand, frozen=True, kw_only=True):
    """End an evaluation whose place was released."""

    session_id: EvaluationId
    reason: Lapse


class ConfirmTester(PlaygroundsCommand, frozen=True, kw_only=True):
    """Refuse unless who asks may evaluate in a playground."""

    playground_id: PlaygroundId


class ConfirmOwner(PlaygroundsCommand, frozen=True, kw_only=True):
    """Refuse unless who asks owns a playground or administers the area."""

    playground_id: PlaygroundId


class ConfirmAnswers(PlaygroundsCommand, frozen=True, kw_only=True):
    """Refuse unless answers fit the questions that were asked of a model.

    Where `revision` is None it is the newest, and nothing is required to be answered.
    """

    playground_id: PlaygroundId
    revision: int | None
    model_key: str
    compares: bool
    answers: "tuple[GivenAnswer, ...]"


class GivenAnswer(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """An answer: a text, or the value of what was chosen, and perhaps a rating.

    A `select` question takes the value of one of its options, a `boolean` one `true` or
    `false`, an `input_string` one a text, a `rating` one a rating. A `pairwise` one
    compares this model with the tester's previous one: `first` and `second` say which
    was better in the order in which they were shown, else `tie` or `both_bad`.
    """

    question_id: QuestionId
    answer_text: Annotated[str, Meta(max_length=10_000)] | None = None
    answer_value: Annotated[str, Meta(max_length=255)] | None = None
    rating: Annotated[int, Meta(ge=1, le=5)] | None = None


Comparison = Literal["first", "second", "tie", "both_bad"]
