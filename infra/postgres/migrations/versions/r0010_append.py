"""Appending: batches as few arguments, and one row for an answer."""

from infra.postgres.migrations.upgrading import apply


revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
