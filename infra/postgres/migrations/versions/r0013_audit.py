"""The audit log: where its read table lives."""

from infra.postgres.migrations.upgrading import apply


revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
