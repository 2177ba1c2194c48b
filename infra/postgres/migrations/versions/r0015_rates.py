"""Rates that count many requests at once."""

from infra.postgres.migrations.upgrading import apply


revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
