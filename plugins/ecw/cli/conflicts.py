"""`ecw conflicts`: fields that the CRM and eCW both changed and that wait for a person's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json, print_rows
from ecw.cli.matches import side
from ecw.cli.options import CRM, ECW

if TYPE_CHECKING:
    from ecw.three_way_merge import Side


@click.group("conflicts")
def command() -> None:
    """List fields that both sides changed; choose a winner."""


@command.command("list")
@click.option("--show", is_flag=True, help="Also show both values: patient data, keep it in this terminal.")
@JSON
@ECW
@CRM
def listed(show: bool, as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """List the fields that wait for a decision."""
    from ecw.crm.state import conflicts

    with side(conn_id, crm_conn_id) as crm:
        waiting = conflicts.open_ones(crm.engine, crm.place.practice)
    names = ["resource", "crm_id", "ecw_id", "column", "first_run", "choice"]
    names += ["crm_value", "emr_value"] if show else []
    rows = [tuple("" if row[name] is None else str(row[name]) for name in names) for row in waiting]
    header = [name.replace("_", " ") for name in names]
    print_rows(header, rows, as_json=as_json, otherwise="No field waits for a choice.")
    if rows and not as_json:
        click.echo("Choose: ecw conflicts choose CRM_ID COLUMN (crm | emr); --show shows the values.")


@command.command("choose")
@click.argument("crm_id")
@click.argument("column")
@click.argument("winner", type=click.Choice(["crm", "emr"]))
@click.option("--resource", default="patient", show_default=True, help="The record's resource.")
@JSON
@ECW
@CRM
def choose(winner: str, as_json: bool, conn_id: str, crm_conn_id: str, **field: str) -> None:
    """Decide whose value of a field wins.

    `crm`: the next push sends it to eCW. `emr`: the next pull loads it into the CRM. If a value changes again, the
    conflict opens again.
    """
    from ecw.crm.journal import terminal_user
    from ecw.crm.state.conflicts import Field
    from ecw.push import review

    with side(conn_id, crm_conn_id) as crm:
        chosen: Side = "crm" if winner == "crm" else "emr"
        if field["resource"] == crm.place.resource:
            field["crm_id"] = review.spelled(crm, field["crm_id"])
        review.choose_winner(crm, Field(crm.place.practice, **field), chosen, terminal_user())
    if as_json:
        print_json({**field, "choice": winner})
        return
    click.echo(f"Chosen: {winner}; the next {'push' if winner == 'crm' else 'pull'} applies it.")
