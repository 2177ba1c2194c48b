"""Appending: what the events of a write share is made once."""

from infra.postgres.migrations.upgrading import apply


revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
