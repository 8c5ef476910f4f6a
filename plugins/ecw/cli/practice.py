"""`ecw practice`: the practices, and the eCW server of each practice code in the CRM."""

from __future__ import annotations

import click

from ecw.cli import JSON, print_rows
from ecw.cli.options import CRM, ECW


@click.group("practice")
def command() -> None:
    """List the practices, find new ones, or confirm a move."""


@command.command("list")
@JSON
@CRM
def listed(as_json: bool, crm_conn_id: str) -> None:
    """List all practices: name, code, connection, address.

    It lists the practices that were synchronised with this CRM, and those that are configured. The option `--practice`
    of other commands takes the name.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state import practices
    from ecw.errors import ConfigurationError
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections
    from ecw.settings.practices import DEFAULT, VARIABLE, known

    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        rows = {code: ("", code, "", address) for code, address in practices.known(connection)}
    for one in known(connections.variable(VARIABLE) or ""):
        try:
            address = base_url_of(connections.get(one.connection))
        except ConfigurationError:  # the practice is configured, but its connection does not exist yet
            rows[one.connection] = (one.name or DEFAULT, "", one.connection, "")
        else:
            code = practice_of(address)
            rows[code] = (one.name or DEFAULT, code, one.connection, address)
    header = ("name", "practice", "connection", "address")
    print_rows(header, list(rows.values()), as_json=as_json, otherwise="No practice was synchronised yet.")


@command.command("sync")
def sync() -> None:
    """Find the practices: connections of type eClinicalWorks.

    Each such connection in Airflow's database is a practice and gets its own DAGs.

    Airflow's API server does this whenever a connection is saved there. Use the command for connections that were
    created in another way.
    """
    from ecw.settings.practice_sync import sync

    for sentence in sync() or ["Nothing to do: the practices are known."]:
        click.echo(sentence)


@command.command("rows")
@ECW
@CRM
def rows(conn_id: str, crm_conn_id: str) -> None:
    """List rows of a shared CRM that name no practice.

    The push does not send such rows.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state.practices import unassigned
    from ecw.practice.mappings import mappings_of
    from ecw.printable import as_table
    from ecw.pull.mapped_columns import mapped_of
    from ecw.resources import RESOURCES

    tables = [(mapping.name, mapped_of(mapping)) for mapping in mappings_of(conn_id, RESOURCES)]
    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        groups = unassigned(connection, tables)
    if not groups:
        click.echo("Every row names a practice.")
        return
    lines = [
        (one.resource, one.table, one.practice_code or "-", str(one.rows), ", ".join(one.crm_ids)) for one in groups
    ]
    click.echo(as_table([("resource", "table", "practice", "rows", "first CRM ids"), *lines]))
    click.echo("The push does not send them: fill their practice with a code that `ecw practice list` shows.")


@command.command("moved")
@ECW
@CRM
@click.confirmation_option(prompt="Has eCW moved this very practice, with its patients and their ids, to the address?")
def moved(conn_id: str, crm_conn_id: str) -> None:
    """Confirm that a practice moved to the connection's address.

    It is the same practice as before, with the same ids.
    """
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
