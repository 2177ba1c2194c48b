"""Logins of people: whom a direct login stands for follows what they may do."""

from infra.postgres.migrations.upgrading import apply


revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
