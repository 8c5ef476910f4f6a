"""`ecw find`: a patient's ids by the MR number.  Airflow's forms must not hold MR numbers; a terminal may."""

from __future__ import annotations

import click

from ecw.cli import JSON, print_rows
from ecw.cli.matches import side
from ecw.cli.options import CRM, ECW


@click.command("find")
@click.argument("name", required=False)
@JSON
@ECW
@CRM
def command(name: str | None, as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """Find a patient's ids by MR number, CRM id or eCW id.

    Without NAME the command asks for it, which keeps an MR number out of the shell's history.
    """
    from ecw.crm.db.engine import reading
    from ecw.push.plan.select import found

    name = name or click.prompt("MR number, CRM id or eCW id", err=True)
    with side(conn_id, crm_conn_id) as crm, reading(crm.engine) as connection:
        records = [crm.patients.read(connection, crm_id) for crm_id in sorted(found(crm, connection, name.strip()))]
    rows = [(one.crm_id, one.ecw_id or "", "yes" if one.linked else "no") for one in records if one is not None]
    print_rows(("CRM id", "eCW id", "linked"), rows, as_json=as_json, otherwise="The CRM does not have this patient.")
