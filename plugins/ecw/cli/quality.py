"""`ecw quality`: what the check found in a run."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

import click

from ecw.printable import as_table

if TYPE_CHECKING:
    from ecw.reports.quality import Report

_HEADER = ("verdict", "broken", "new", "rows", "column", "rule", "expected", "on_fail")


@click.command("quality")
@click.argument("run", required=False)
@click.option("--crm-conn-id", default="crm_default", show_default=True, help="The Airflow connection of the CRM.")
@click.option("--all", "every", is_flag=True, help="The rules that no row breaks, too.")
def command(run: str | None, crm_conn_id: str, every: bool) -> None:
    """Show what the check found in RUN, a run id, or in the last run: rules, counts and verdicts, no values."""
    from ecw.crm.db.engine import open_crm, reading
    from ecw.errors import ConfigurationError
    from ecw.reports import quality

    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        run_id = run or quality.last_run(connection)
        found = quality.of_run(connection, run_id) if run_id else []
    if run and not found:
        raise ConfigurationError(
            f"The CRM knows no run {run!r}.", next_move="name it as Airflow's list of the runs of ecw_pull does."
        )
    if not found:
        click.echo("No run has come to its check yet.")
        return
    click.echo(f"Run {run_id}")
    for report in found:
        click.echo(f"\n{_told(report)}")
        if rules := _table(report, every):
            click.echo(rules)


def _told(report: Report) -> str:
    volume = report.volume
    if volume is None:
        return f"{report.resource}: not checked"
    usual = "" if volume["usual"] is None else f", usual are {volume['usual']}"
    judged = f", {len(report.rules)} rules" if report.rules else ", no row to judge"
    return f"{report.resource}: {report.verdict} ({volume['rows']} records fetched{usual}{judged})"


def _table(report: Report, every: bool) -> str:
    rows = [rule for rule in report.rules if every or rule["broken"]]
    if not rows:
        return ""
    names = ("verdict", "broken", "broken_new", "rows", "column", "rule", "demand", "on_fail")
    lines = [_HEADER, *(tuple("" if rule[name] is None else str(rule[name]) for name in names) for rule in rows)]
    return indent(as_table(lines), "  ")
