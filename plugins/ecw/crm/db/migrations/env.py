"""Alembic runs this file. The connection, with its transaction already begun, is set by `migrate` or `sql`."""

from alembic import context

from ecw.crm.db.migrations import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # on SQLite too: engine.py begins its transactions itself
    literal_binds=context.is_offline_mode(),
)
with context.begin_transaction():
    context.run_migrations()
