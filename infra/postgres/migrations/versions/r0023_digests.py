"""Appending: what an event says is hashed by whoever appends it, its place here."""

from infra.postgres.migrations.upgrading import apply


revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
