"""Work: durable jobs with leases and fences, and the references to them."""

from infra.postgres.migrations.upgrading import apply


revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
