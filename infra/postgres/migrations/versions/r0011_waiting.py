"""Waiting: jobs that wait for a place in their group are found by an index."""

from infra.postgres.migrations.upgrading import apply


revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
