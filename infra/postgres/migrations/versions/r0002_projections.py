"""Projections: checkpoints, identity functions, parked keys."""

from infra.postgres.migrations.upgrading import apply


revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
