"""Accounts: passwords, codes, sessions and rates, beside the log and never in it."""

from infra.postgres.migrations.upgrading import apply


revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
