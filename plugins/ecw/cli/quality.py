"""`ecw quality`: the quality report of a run, the ids that stopped it, and suites as JSON for Great Expectations."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import indent
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json, print_rows
from ecw.cli.options import CRM, PRACTICE, chosen_code
from ecw.printable import as_table
from ecw.resources import RESOURCES

if TYPE_CHECKING:
    from ecw.reports.quality import Report

_HEADER = ("verdict", "broken", "new", "rows", "column", "rule", "expected", "on_fail")


class _Quality(click.Group):
    """`ecw quality RUN` is `ecw quality show RUN`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `show` if the first argument is not a subcommand."""
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group("quality", cls=_Quality)
def command() -> None:
    """Show a run's quality report or ids, or export a suite."""


@command.command("show")
@click.argument("run", required=False)
@PRACTICE
@CRM
@click.option("--all", "every", is_flag=True, help="Also show rules that no row fails.")
@JSON
def show(run: str | None, crm_conn_id: str, every: bool, as_json: bool) -> None:
    """Show the quality report of RUN, or of the last run.

    RUN is a run id. The report has rules, counts and verdicts, no values.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.errors import ConfigurationError
    from ecw.reports import quality

    with open_crm(crm_conn_id) as engine, reading(engine) as connection:
        practice, run_id = chosen_code(), run
        if run is None and (last := quality.last_run(connection, practice)) is not None:
            practice, run_id = last
        reports = quality.of_run(connection, run_id, practice=practice) if run_id else []
    if run and not reports:
        raise ConfigurationError(
            f"The CRM has no run {run!r} with a quality report.",
            next_step="copy the run's id from Airflow's list of the runs of ecw_pull.",
        )
    if as_json:
        print_json([asdict(report) for report in reports])
        return
    if not reports:
        click.echo("No run has been checked yet.")
        return
    click.echo(f"Run {run_id}")
    for report in reports:
        click.echo(f"\n{_report_text(report)}")
        if rules := _table(report, every):
            click.echo(rules)


@command.command("ids")
@click.argument("run")
@click.argument("resource", type=click.Choice(list(RESOURCES)))
@click.option("--staging", "staging_path", help="The staging area, if it is not the default one.")
@PRACTICE
@CRM
@JSON
def ids(run: str, resource: str, staging_path: str | None, crm_conn_id: str, as_json: bool) -> None:
    """Show the eCW ids of the records that stopped a check.

    These are the records of RESOURCE that fail the rules with the verdict *stop* in the run RUN. A rule about the whole
    batch has none.
    """
    from ecw.crm.db.engine import open_crm, reading
    from ecw.crm.state.run_history import folder_name
    from ecw.errors import ConfigurationError
    from ecw.quality.check import FAILED
    from ecw.reports import quality
    from ecw.reports.configured import configured
    from ecw.staging import batch_file, filesystem, location

    with open_crm(crm_conn_id) as engine:
        with reading(engine) as connection:
            practices = [each.practice for each in quality.of_run(connection, run, resource, practice=chosen_code())]
        if len(practices) != 1:
            number = f"{len(practices)} runs" if practices else "no run"
            raise ConfigurationError(
                f"The CRM has {number} {run!r} of {resource}.",
                next_step="name the practice with --practice." if practices else "copy the id from `ecw quality`.",
            )
        [practice] = practices
        root = next((each.staging for code, each in configured() if code == practice), None)
        folder = batch_file.run_folder(
            location.staging_root(staging_path or root), practice, folder_name(engine, practice, run)
        )
    path = filesystem.join(folder, resource, FAILED)
    lines = batch_file.read(path) if batch_file.manifest(path) else ()
    rows = [(line["ecw_id"], line["rule"], line["column"], "yes" if line["new"] else "no") for line in lines]
    otherwise = "No record stopped the last check of this resource in the run, or its staged files are no longer there."
    print_rows(("eCW id", "rule", "column", "new"), rows, as_json=as_json, otherwise=otherwise)


@command.command("export")
@click.argument("resource")
@click.option("--own", is_flag=True, help="Include the expectations that only this project registers.")
def export(resource: str, own: bool) -> None:
    """Write a suite as JSON for Great Expectations."""
    from ecw.mapping.definition.files import load_mapping
    from ecw.quality.export import gx_suite
    from ecw.quality.suite import suite_of
    from ecw.resources import resource as row

    suite, left_out = gx_suite(suite_of(row(resource).name, load_mapping(resource)), own=own)
    print_json(suite)
    for rule in left_out:
        click.echo(f"Left out, as Great Expectations does not have it: {rule}.", err=True)


def _report_text(report: Report) -> str:
    volume = report.volume
    if volume is None:
        return f"{report.resource}: not checked"
    usual = "" if volume["usual"] is None else f", usual are {volume['usual']}"
    rules = f", {len(report.rules)} rules" if report.rules else ", no row to check"
    return f"{report.resource}: {report.verdict} ({volume['rows']} records fetched{usual}{rules})"


def _table(report: Report, every: bool) -> str:
    rows = [rule for rule in report.rules if every or rule["broken"]]
    if not rows:
        return ""
    names = ("verdict", "broken", "broken_new", "rows", "column", "rule", "demand", "on_fail")
    lines = [_HEADER, *(tuple("" if rule[name] is None else str(rule[name]) for name in names) for rule in rows)]
    return indent(as_table(lines), "  ")
