"""The document of who may do and see what is what decides it."""

from pathlib import Path
from typing import Final

from projections.catalogue import TABLES
from services.guard import PERMISSIONS
from services.policies import markdown, policies
from services.routing import COMMANDS


DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "policies.md"


def test_the_document_is_current() -> None:
    found = markdown(policies(COMMANDS, PERMISSIONS, TABLES))
    assert DOCUMENT.read_text() == found, (
        "rehearsal policies --markdown > docs/policies.md"
    )


def test_every_command_that_somebody_may_ask_for_and_every_table_is_told() -> None:
    found = policies(COMMANDS, PERMISSIONS, TABLES)
    told = {each.command for each in found.commands}
    assert told == {name for name, kind in COMMANDS.items() if kind in PERMISSIONS}
    assert {each.table for each in found.tables} == set(TABLES)
    assert all(each.roles or each.own for each in found.commands)
