"""Lost references: jobs that were offered and never reached a worker."""

from infra.postgres.migrations.upgrading import apply


revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
