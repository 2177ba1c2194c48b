"""What the read tables of the playgrounds context share: columns, values, policies.

`owner` and `tester` are the ids of people as the log has them, and the policies go by
them; `created_by` and `user_id` are the same people as UUIDs.
"""

from typing import Final
from uuid import UUID, uuid5

import msgspec

from events.ids import EvaluationId, PlaygroundId, QuestionId, SubjectId
from events.message import Event, Recorded
from projections.projection import Column, Index, Reference, Value


SCHEMA: Final = "playgrounds"
OWN_ORGANISATION: Final = "org_id = access.current_org()"
OWNERS: Final = (
    "owner = access.current_actor_id() OR access.has_role('playgrounds', 'admin')"
)
OWN: Final = f"{OWN_ORGANISATION} AND ({OWNERS})"
OWN_AND_TESTERS: Final = (
    f"{OWN_ORGANISATION} AND ({OWNERS} OR tester = access.current_actor_id())"
)
WHO_SEES_THE_PLAYGROUND: Final = (
    f"{OWN_ORGANISATION}"
    f" AND ({OWNERS} OR playground_id = ANY (access.open_playgrounds()::uuid[]))"
)

_encoder: Final = msgspec.json.Encoder()


def key(note: str, name: str = "id") -> Column:
    """Return the column of a UUID that identifies the row or another."""
    return Column(name=name, type="uuid", nullable=False, note=note)


def uuid(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a UUID column."""
    return Column(name=name, type="uuid", nullable=nullable, note=note)


def text(
    name: str,
    note: str,
    *,
    most: int | None = None,
    nullable: bool = False,
    check: str | None = None,
    visible: str | None = None,
) -> Column:
    """Return a text column, of at most so many characters."""
    if most is not None:
        check = f"char_length({name}) <= {most}"
    return Column(
        name=name,
        type="text",
        note=note,
        nullable=nullable,
        check=check,
        visible=visible,
    )


def choice(name: str, note: str, *choices: str) -> Column:
    """Return a text column that has one of some values."""
    listed = ", ".join(f"'{each}'" for each in choices)
    return text(name, note, check=f"{name} IN ({listed})")


def integer(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return an integer column."""
    return Column(name=name, type="integer", nullable=nullable, note=note)


def count(name: str, note: str) -> Column:
    """Return a column that counts, from 0 and never below."""
    return Column(
        name=name,
        type="integer",
        nullable=False,
        note=note,
        default="0",
        check=f"{name} >= 0",
    )


def flag(name: str, note: str) -> Column:
    """Return a boolean column."""
    return Column(name=name, type="boolean", nullable=False, note=note)


def moment(name: str, note: str, *, nullable: bool = False) -> Column:
    """Return a column of moments."""
    return Column(name=name, type="timestamptz", nullable=nullable, note=note)


PLAYGROUND_ID: Final = key("Playground", "playground_id")
MODEL_KEY: Final = text("model_key", "Key of the model in its playground", most=50)
OWNER: Final = text("owner", "Whose playground it is, as the log names them")
TESTER: Final = text("tester", "Who evaluates, as the log names them")
CREATED_AT: Final = moment("created_at", "Creation timestamp")
UPDATED_AT: Final = moment("updated_at", "Last update timestamp")
ORGANISATION: Final = (
    text("org_id", "Organization identifier"),
    text("region_name", "Deployment region"),
)
SEALED_FOR: Final = text(
    "sealed_for",
    "Organization and person whose key seals the text, if one does",
    nullable=True,
)

BY_CREATION: Final = Index(columns=("org_id", "created_at"))
BY_PLAYGROUND: Final = Index(columns=("playground_id",))
BY_OWNER: Final = Index(columns=("owner",))
BY_SEAL: Final = Index(columns=("sealed_for",), where="sealed_for IS NOT NULL")
OF_PLAYGROUND: Final = Reference(
    column="playground_id", table="playgrounds.playgrounds", target="id"
)


def jsonb(value: Value) -> str:
    """Return the JSON text of a value for a jsonb column."""
    return _encoder.encode(value).decode()


def organisation(recorded: Recorded[Event]) -> tuple[Value, ...]:
    """Return the values of `ORGANISATION`."""
    return (recorded.org_id, recorded.region)


def sealed_for(org_id: str, subject_id: SubjectId) -> str:
    """Return the value of `SEALED_FOR`."""
    return f"{org_id}/{subject_id}"


def model_id(playground_id: PlaygroundId, model_key: str) -> UUID:
    """Return the id of a model's configuration."""
    return uuid5(playground_id, f"model/{model_key}")


def counter_id(playground_id: PlaygroundId, model_key: str) -> UUID:
    """Return the id of a model's counter."""
    return uuid5(playground_id, f"counter/{model_key}")


def answer_id(session_id: EvaluationId, question_id: QuestionId) -> UUID:
    """Return the id of an answer."""
    return uuid5(session_id, str(question_id))
