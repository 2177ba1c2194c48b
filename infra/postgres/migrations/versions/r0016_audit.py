"""The audit log: where its read table lives."""

from infra.postgres.migrations.upgrading import apply


revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
