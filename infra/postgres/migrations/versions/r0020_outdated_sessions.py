"""Sessions whose access tokens tell of a role that was taken."""

from infra.postgres.migrations.upgrading import apply


revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
