"""Appending: one event each of many commands, in one statement."""

from infra.postgres.migrations.upgrading import apply


revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
