"""`ecw forget`: erase a patient from the project's own records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json
from ecw.cli.matches import side
from ecw.cli.options import CRM, ECW
from ecw.printable import as_table

if TYPE_CHECKING:
    from ecw.push.context import CrmSide


NOT_TOUCHED = (
    "Not touched: the CRM's own tables, eCW, backups, and Airflow (runs that named the patient by an id): erase "
    "the first two before the next pull, and see `airflow db clean`."
)


@click.command("forget")
@click.argument("name", required=False)
@click.option("--staging", "staging_path", help="The staging area, if it is not the default one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@JSON
@ECW
@CRM
def command(
    name: str | None, staging_path: str | None, yes: bool, as_json: bool, conn_id: str, crm_conn_id: str
) -> None:
    """Erase a patient from the project's own records.

    NAME is a CRM id, an eCW id or an MR number. Erased are staged copies, Integration Logs, rejects, links and agreed
    values. The CRM's own row and eCW stay as they are, and the next pull loads again what eCW still has.
    """
    from ecw.crm.state import forget
    from ecw.practice.mappings import mappings_of
    from ecw.pull.mapped_columns import mapped_of
    from ecw.resources import OF_PATIENTS
    from ecw.staging import forget as forgetting
    from ecw.staging import location

    name = (name or click.prompt("MR number, CRM id or eCW id", err=True)).strip()
    root = location.staging_root(staging_path)
    with side(conn_id, crm_conn_id) as crm:
        engine, practice = crm.engine, crm.place.practice
        forget.require_quiet(engine, practice)
        meant = _meant(crm, name)
        others = [name for name in OF_PATIENTS if name != forget.PATIENT]
        mapped = {mapping.name: mapped_of(mapping) for mapping in mappings_of(conn_id, others)}
        # A patient that the CRM has erased already is found by the links.
        bare = name.rpartition(":")[2].strip()
        records = forget.related(engine, practice, () if meant else [bare], meant or [bare], mapped)
        if not yes:
            crm_ids = ", ".join(sorted(records.crm_ids[forget.PATIENT]))
            click.confirm(f"Forget the patient with the CRM id {crm_ids}?", abort=True, err=True)
        lines = forgetting.forget(root, practice, records)
        removed = forget.forget(engine, practice, records)
    if as_json:
        print_json({"removed": {"staged_copies": lines, **removed}})
        return
    rows = [("staged copies", str(lines)), *((table, str(count)) for table, count in removed.items())]
    click.echo(as_table([("removed from", "rows"), *rows]))
    click.echo(NOT_TOUCHED)


def _meant(crm: CrmSide, name: str) -> dict[str, bool]:
    """Return the patient with this id or MR number, by CRM id; empty if the CRM does not have the patient.

    Raises ConfigurationError if several patients have it.
    """
    from ecw.crm.db.engine import reading
    from ecw.errors import ConfigurationError
    from ecw.push.plan.select import found

    with reading(crm.engine) as connection:
        meant = found(crm, connection, name)
    if len(meant) > 1:
        raise ConfigurationError(
            f"{len(meant)} patients have this id or number (CRM ids {', '.join(sorted(meant))}).",
            next_step="write crm:, ecw: or mr: before it.",
        )
    return meant
