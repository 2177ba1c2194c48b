"""The key store: wrapped keys of data subjects, and the erasure ledger."""

from infra.postgres.migrations.upgrading import apply


revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
