"""What Alembic runs: each revision in a transaction, on a connection that is given."""

from alembic import context

from infra.postgres.migrations import SCHEMA


context.configure(
    connection=context.config.attributes["connection"],
    version_table="revision",
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
