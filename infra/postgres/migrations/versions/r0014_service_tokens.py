"""Service tokens: what is needed to believe them, beside the log."""

from infra.postgres.migrations.upgrading import apply


revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
