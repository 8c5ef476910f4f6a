"""`ecw practice`: which server each practice code of the CRM means."""

from __future__ import annotations

import click

from ecw.cli import JSON, print_rows

ECW = click.option("--conn-id", default="ecw_default", show_default=True, help="The Airflow connection of eCW.")
CRM = click.option("--crm-conn-id", default="crm_default", show_default=True, help="The Airflow connection of the CRM.")


@click.group("practice")
def command() -> None:
    """Practices of the CRM: list them with their addresses, or say that one has moved."""


@command.command("list")
@JSON
@CRM
def listed(as_json: bool, crm_conn_id: str) -> None:
    """List the practices that were synchronised with this CRM, and the address of each."""
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state import practices

    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        found = practices.known(connection)
    print_rows(("practice", "address"), found, as_json=as_json, otherwise="No practice was synchronised yet.")


@command.command("moved")
@ECW
@CRM
@click.confirmation_option(prompt="Has eCW moved this very practice, with its patients and their ids, to the address?")
def moved(conn_id: str, crm_conn_id: str) -> None:
    """Say that the practice is at the connection's address now, and is the same one as before."""
    from ecw.crm.db.engine import open_crm
    from ecw.crm.state import practices
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections

    base_url = base_url_of(connections.get(conn_id))
    with open_crm(crm_conn_id) as engine, engine.begin() as connection:
        before = practices.move(connection, practice_of(base_url), base_url)
    if before is None:
        click.echo(f"The practice {practice_of(base_url)} was never synchronised with this CRM: nothing to do.")
    else:
        click.echo(f"The practice {practice_of(base_url)} is at {base_url} now; it was at {before}.")
