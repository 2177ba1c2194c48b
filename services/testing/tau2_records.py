"""The records of a tau2 file: one for each task, with what a right agent does and says.

A file is a JSON array of tasks as tau2-bench writes them (Barres et al. 2025). Fields
that are not named here are passed over, but not among the evaluation criteria: a check
that is not known refuses the file. Refusals name the record's place in the file.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from events.errors import Malformed, TooLarge
from services.testing.common import Label, ListedLabel, LongText, Name
from services.testing.unit_test_sets import MAX_UNIT_TESTS


MAX_CRITERIA: Final = 50
MAX_FACTS: Final = 10_000

Known = Annotated[str, Meta(max_length=MAX_FACTS)]
Said = Annotated[str, Meta(min_length=1, max_length=1_900, pattern=r"\S")]
Goal = Annotated[LongText, Meta(min_length=1, pattern=r"\S")]


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What the simulated customer wants, how it goes about it, and what it knows."""

    reason_for_call: Goal
    task_instructions: LongText
    domain: Label = "unknown"
    known_info: Known | None = None
    unknown_info: Known | None = None


class UserScenario(msgspec.Struct, frozen=True, kw_only=True):
    """Who the simulated customer is, and its instructions, in parts or as one text."""

    instructions: Instructions | Goal
    persona: Known | None = None


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What the task is for."""

    purpose: LongText | None = None
    relevant_policies: LongText | None = None
    notes: LongText | None = None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that leads to the database as it has to be in the end."""

    name: Name


class Criteria(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked; `reward_basis` names the checks that make tau2's own reward."""

    actions: list[Action] | None = None
    env_assertions: list[dict[str, Any]] | None = None
    communicate_info: list[Said] | None = None
    nl_assertions: list[Said] | None = None
    reward_basis: list[ListedLabel] | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One task."""

    id: Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]
    user_scenario: UserScenario
    description: Description | None = None
    evaluation_criteria: Criteria | None = None
    initial_state: dict[str, Any] | None = None
    ticket: str | None = None

    @property
    def parts(self) -> Instructions:
        """Return the instructions in parts; one text is both goal and instructions."""
        given = self.user_scenario.instructions
        if isinstance(given, Instructions):
            return given
        return Instructions(reason_for_call=given, task_instructions=given)

    @property
    def criteria(self) -> Criteria:
        """Return what is checked, which may be nothing."""
        return self.evaluation_criteria or Criteria()

    @property
    def checks(self) -> int:
        """Return how many checks look at the conversation, so that rules may judge."""
        criteria = self.criteria
        return len(criteria.nl_assertions or ()) + len(criteria.communicate_info or ())


def check_tasks(tasks: Sequence[Task]) -> None:
    """Refuse a file without a check that rules may judge, or past a set's limits."""
    if not tasks:
        raise Malformed("The file holds no tasks.", path="$")
    places: dict[str, int] = {}
    for place, task in enumerate(tasks):
        first = places.setdefault(task.id, place)
        if first != place:
            message = f"Task {task.id} is also record {first}."
            raise Malformed(message, path=f"$[{place}].id")
        if task.checks > MAX_CRITERIA:
            message = (
                f"Task {task.id} has {task.checks} checks; "
                f"a unit test has at most {MAX_CRITERIA}."
            )
            raise TooLarge(message, path=f"$[{place}].evaluation_criteria")
    if not any(task.checks for task in tasks):
        message = "No task has an assertion or a fact to communicate."
        raise Malformed(message, path="$")
    if len(tasks) > MAX_UNIT_TESTS:
        message = (
            f"The file has {len(tasks)} tasks; a set has at most {MAX_UNIT_TESTS}."
        )
        raise TooLarge(message, path="$")
