"""Personal text: whose it is who asks, and whether others' is open to them."""

from infra.postgres.migrations.upgrading import apply


revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
