"""Run by Alembic: migrates over the connection, and in the transaction, that `database.open_store` hands in."""

from alembic import context

from suffice.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
