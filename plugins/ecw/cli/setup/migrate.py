"""`ecw migrate`: create or update the tables in the CRM's database."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json
from ecw.cli.options import CRM, PRACTICE

if TYPE_CHECKING:
    from sqlalchemy import Engine

ROUNDS = 5  # of --adopt: a column that was added may reveal the next problem


@click.command("migrate")
@PRACTICE
@CRM
@click.option("--sql", "shows", is_flag=True, help="Print the statements for a database administrator; change nothing.")
@click.option(
    "--adopt", is_flag=True, help="Also change the CRM's own tables so that they fit; shows the SQL and asks."
)
@click.option("--yes", is_flag=True, help="With --adopt: do not ask before the SQL is executed.")
@click.option("--back", is_flag=True, help="Take the newest release's changes back, if no data is lost.")
@JSON
def command(crm_conn_id: str, shows: bool, adopt: bool, yes: bool, back: bool, as_json: bool) -> None:
    """Create or update the tables in the CRM's database.

    If nothing is missing, it changes nothing.

    A table that is the CRM's own stays as it is, unless --adopt is set.
    """
    from ecw.crm.db.engine import open_crm
    from ecw.crm.db.migrations import migrate, migrate_back, newest, sql

    if back and (shows or adopt):
        raise click.UsageError("--back cannot be combined with another option.")
    if shows and as_json:
        raise click.UsageError("--sql prints SQL, so it cannot be combined with --json.")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the command prints its own sentences
    with open_crm(crm_conn_id, migrated=False) as engine:
        if back:
            version = migrate_back(engine)
            if as_json:
                print_json({"version": version, "done": [], "adopted": []})
            else:
                click.echo(f"The CRM's database is at version {version} again.")
            return
        tables = _tables(crm_conn_id)
        if shows:
            click.echo(sql(engine, tables=tables) or "-- Nothing to do: the CRM's database is up to date.")
            for statement in _repairs(engine) if adopt else ():
                click.echo(statement)
            return
        done = migrate(engine, tables=tables)
        for sentence in done if not as_json else ():
            click.echo(sentence)
        end = "The CRM's database is up to date." if done else "Nothing to do: the CRM's database is up to date."
        click.echo(end, err=as_json)
        adopted = _adopt(engine, yes=yes, err=as_json) if adopt else []
        if as_json:
            print_json({"version": newest(), "done": done, "adopted": adopted})


def _tables(crm_conn_id: str) -> dict[str, str]:
    """Return the table of each resource in a CRM, from the mapping files of the practices that use the CRM.

    If they name several tables, the one with the resource's own name is taken: a migration creates it.  Raises
    MappingError.
    """
    from ecw.mapping.definition.files import load_mapping
    from ecw.resources import RESOURCES
    from ecw.settings import connections
    from ecw.settings.practices import VARIABLE, known

    practices = [each for each in known(connections.variable(VARIABLE) or "") if each.crm_connection == crm_conn_id]
    folders = {each.mappings for each in practices} or {None}
    named = {name: {load_mapping(name, own=folder).table for folder in folders} for name in RESOURCES}
    return {name: name if name in tables else min(tables) for name, tables in named.items()}


def _repairs(engine: Engine) -> list[str]:
    """Return the SQL that makes the CRM's own tables fit the mapping files, each statement once."""
    from ecw.crm.db.engine import reading
    from ecw.crm.db.schema_fit import in_the_way
    from ecw.mapping.definition.files import all_mappings

    with reading(engine) as connection:
        problems = [each for mapping in all_mappings().values() for each in in_the_way(connection, mapping)]
    return list(dict.fromkeys(each.repair for each in problems if each.repair))


def _adopt(engine: Engine, *, yes: bool, err: bool) -> list[str]:
    """Show the SQL that changes the CRM's own tables; after a confirmation, execute it in one transaction.

    Returns the executed statements. With `err` it writes to standard error.
    """
    from ecw.crm.db.errors import working

    executed: list[str] = []
    for _ in range(ROUNDS):
        statements = _repairs(engine)
        if not statements:
            break
        click.echo("The CRM's own tables do not fit the mapping files. This would be executed:", err=err)
        for statement in statements:
            click.echo(f"  {statement}", err=err)
        if not yes and not click.confirm("Change the CRM's own tables?", default=False, err=err):
            click.echo("Nothing was changed in the CRM's own tables.", err=err)
            return executed
        with working("The change of the CRM's own tables"), engine.begin() as connection:
            for statement in statements:
                escaped = statement.replace("%", "%%") if connection.dialect.name == "postgresql" else statement
                connection.exec_driver_sql(escaped)
        executed += statements
    click.echo("Next: `ecw mapping check` compares the CRM's own tables with the mapping files.", err=err)
    return executed
