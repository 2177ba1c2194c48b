"""Areas: roles that hold in one context only."""

from infra.postgres.migrations.upgrading import apply


revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
