"""`ecw practice`: which server each practice code of the CRM means."""

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

    That is those that were synchronised with this CRM, and those that are configured. `--practice` takes the name.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state import practices
    from ecw.errors import ConfigurationError
    from ecw.fhir.connection import base_url_of, practice_of
    from ecw.settings import connections
    from ecw.settings.practices import DEFAULT, VARIABLE, known

    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        found = {code: ("", code, "", address) for code, address in practices.known(connection)}
    for one in known(connections.variable(VARIABLE) or ""):
        try:
            address = base_url_of(connections.get(one.connection))
        except ConfigurationError:  # it is named, and not there yet
            found[one.connection] = (one.name or DEFAULT, "", one.connection, "")
        else:
            code = practice_of(address)
            found[code] = (one.name or DEFAULT, code, one.connection, address)
    header = ("name", "practice", "connection", "address")
    print_rows(header, list(found.values()), as_json=as_json, otherwise="No practice was synchronised yet.")


@command.command("sync")
def sync() -> None:
    """Find the practices: connections of type eClinicalWorks.

    Each such connection in Airflow's database is a practice and gets its own DAGs.

    Airflow's API server does it whenever a connection is saved there; this is for those that come another way.
    """
    from ecw.settings.practice_sync import sync

    for sentence in sync() or ["Nothing to do: the practices are known."]:
        click.echo(sentence)


@command.command("rows")
@ECW
@CRM
def rows(conn_id: str, crm_conn_id: str) -> None:
    """List rows of a shared CRM that name no practice.

    They are pushed nowhere.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state.practices import unassigned
    from ecw.practice.mappings import mappings_of
    from ecw.printable import as_table
    from ecw.pull.mapped_columns import mapped_of
    from ecw.resources import RESOURCES

    tables = [(mapping.name, mapped_of(mapping)) for mapping in mappings_of(conn_id, RESOURCES)]
    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        found = unassigned(connection, tables)
    if not found:
        click.echo("Every row is a practice's.")
        return
    lines = [(one.resource, one.table, one.said or "-", str(one.rows), ", ".join(one.crm_ids)) for one in found]
    click.echo(as_table([("resource", "table", "practice", "rows", "CRM ids, the first"), *lines]))
    click.echo("They are pushed nowhere: fill their practice with a code that `ecw practice list` shows.")


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
