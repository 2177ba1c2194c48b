"""Appending: batches as few arguments, and one row for an answer."""

from infra.postgres.migrations.upgrading import apply


revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
