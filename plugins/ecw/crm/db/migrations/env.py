"""Run by Alembic: the connection, with its transaction already begun, comes from `migrate`."""

from alembic import context

from ecw.crm.db.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # on SQLite too: engine.py begins its transactions itself
)
with context.begin_transaction():
    context.run_migrations()
