"""`ecw push`: a push from the terminal, with the steps of the DAG."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ecw.cli import JSON, logs_to_stderr, print_json, run_id
from ecw.cli.matches import side
from ecw.cli.options import CRM, ECW
from ecw.models import PushRequest, RunType

if TYPE_CHECKING:
    from ecw.models import Push


@click.command("push")
@click.argument("resource", default="patient")
@click.option(
    "--patient", "patients", multiple=True, help="A CRM id, eCW id or MR number; repeatable. Default: all that differ."
)
@click.option("--dry-run", is_flag=True, help="Show which fields would be sent; send and write nothing.")
@click.option("--only", type=click.Choice(["create", "update"]), help="New patients, or changed ones.")
@click.option("--limit", type=click.IntRange(min=1), help="Push at most this many.")
@click.option("--test-only", is_flag=True, help="Only the patient that the connection names as test_patient.")
@JSON
@click.option("--yes", is_flag=True, help="Approve a push that is larger than usual.")
@ECW
@CRM
def command(patients: tuple[str, ...], as_json: bool, yes: bool, conn_id: str, crm_conn_id: str, **form: Any) -> None:
    """Push changed patients to eCW; show the result of each.

    The output has ids, counts and names of fields, no values.
    """
    with logs_to_stderr():
        import ecw.hooks.ecw  # noqa: F401 - imports Airflow, which chooses where to log at its import
    from ecw.crm.journal import terminal_user
    from ecw.push import steps
    from ecw.push.plan.select import crm_ids
    from ecw.push.summary import as_text

    if patients:  # MR numbers are allowed, as Airflow does not store what is typed in a terminal
        with side(conn_id, crm_conn_id) as crm:
            patients = tuple(f"crm:{crm_id}" for crm_id in crm_ids(crm, patients, numbers=True))
    options = form | {"patients": list(patients)}
    push = steps.begin(PushRequest(run_id(datetime.now(UTC)), RunType.MANUAL, conn_id, crm_conn_id, options))
    by = terminal_user()
    approved = not push["needs_approval"] or (
        _may_approve(push) and (yes or _confirmed(push["creates"], push["updates"]))
    )
    try:
        steps.send(push, {"approved": approved, "by": by})
        steps.confirm(push)
    finally:
        table = steps.summary(push)
        if as_json:
            print_json(table)
        else:
            click.echo(as_text(table))


def _may_approve(push: Push) -> bool:
    """Return True if the terminal's user may approve: anybody, unless the connection names the approvers."""
    approvers = push["options"]["approvers"]
    if approvers and getpass.getuser() not in approvers:
        click.echo(
            f"Only {', '.join(approvers)} may approve it: trigger the DAG ecw_push_patients, which asks them.", err=True
        )
        return False
    return True


def _confirmed(creates: int, updates: int) -> bool:
    question = f"That is more than usual: {creates} new and {updates} changed patients. Push them?"
    try:
        return click.confirm(question, err=True)
    except click.Abort:  # there is no terminal to answer from; --yes approves
        return False
