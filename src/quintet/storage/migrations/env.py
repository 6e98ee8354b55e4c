"""Runs migrations on the connection it is given by `quintet.storage.migrate`."""

from alembic import context

from quintet.storage.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    # SQLite cannot alter most things in place: batch mode copies the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
