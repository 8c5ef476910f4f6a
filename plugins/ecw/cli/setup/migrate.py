"""`ecw migrate`: make or fix the tables in the CRM's database."""

from __future__ import annotations

import logging

import click

from ecw.cli.options import CRM, PRACTICE


@click.command("migrate")
@PRACTICE
@CRM
def command(crm_conn_id: str) -> None:
    """Make or fix the tables in the CRM's database; harmless when there is nothing to do."""
    from ecw.crm.db.engine import open_crm
    from ecw.crm.db.migrations import migrate

    logging.getLogger("alembic").setLevel(logging.WARNING)  # the sentences below say it in plain words
    with open_crm(crm_conn_id, migrated=False) as engine:
        done = migrate(engine)
    for sentence in done:
        click.echo(sentence)
    click.echo("The CRM's database is up to date." if done else "Nothing to do: the CRM's database is up to date.")
