"""Identity providers: where sign-ins that have begun are kept."""

from infra.postgres.migrations.upgrading import apply


revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Run the files of this revision."""
    apply(revision)
