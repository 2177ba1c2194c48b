"""Playgrounds: where their read tables live, and which of them a tester may see."""

from infra.postgres.migrations.upgrading import apply


revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
