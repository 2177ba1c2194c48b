"""The log: events, streams, recorded outcomes, blobs, and the append."""

from infra.postgres.migrations.upgrading import apply


revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
