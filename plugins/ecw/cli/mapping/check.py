"""`ecw mapping check`: report every problem of mapping files, crosswalks, suites and the CRM's tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json
from ecw.cli.mapping.inputs import FOLDER, crm
from ecw.cli.options import CRM, PRACTICE, chosen

if TYPE_CHECKING:
    from ecw.mapping.validation.check import Checked


@click.command("check")
@FOLDER
@PRACTICE
@CRM
@click.option("--no-crm", is_flag=True, help="Check the files only, not the CRM's tables and lists.")
@JSON
def check(folder: str | None, crm_conn_id: str, no_crm: bool, as_json: bool) -> None:
    """Check mappings, crosswalks, suites and the CRM's tables.

    Reports every problem at once. With --practice, the practice's own files replace those of the same name.
    """
    from ecw.errors import MappingError
    from ecw.mapping.validation.check import check_files
    from ecw.practice.preflight import suite_problems
    from ecw.resources import RESOURCES

    practice = None if folder else chosen()
    report = check_files(folder, practice.mappings if practice else None)
    own = Path(folder).parent / "quality" if folder else practice.quality if practice else None
    suites = [mapping for mapping in report.mappings if mapping.name in RESOURCES]
    for mapping in suites:
        report.problems += suite_problems(mapping.name, mapping, own)
    if not no_crm and report.mappings:
        _check_crm(crm_conn_id, report)
    if as_json:
        files = [str(mapping.file) for mapping in report.mappings]
        print_json({"files": files, "problems": report.problems, "notes": report.notes})
        sys.exit(1 if report.problems else 0)
    for note in report.notes:
        click.echo(note)
    if report.problems:
        number = f"{len(report.problems)} {'problem' if len(report.problems) == 1 else 'problems'}"
        raise MappingError(
            f"{number} in mapping files, crosswalks, quality suites or the CRM's tables:\n"
            + "\n".join(report.problems)
            + "\n",
            next_step="fix what is named above, in the file or in the CRM, and run `ecw mapping check` again.",
        )
    columns = sum(len(mapping.columns) for mapping in report.mappings)
    click.echo(
        f"{len(report.mappings)} mapping files with {columns} columns, {len(suites)} quality suites: no problems."
    )


def _check_crm(crm_conn_id: str, report: Checked) -> None:
    """Add the problems of the CRM's tables and lists to the report.

    If the CRM cannot be read and the files have problems, the report gets a note instead, so that they are shown.
    """
    from ecw.crm.db.schema_check import check_crm
    from ecw.errors import EcwError

    try:
        with crm(crm_conn_id) as connection:
            check_crm(connection, report)
    except EcwError as error:
        if not report.problems:
            raise type(error)(
                f"The files have no problems; the CRM was not checked: {error.what}",
                next_step=f"{error.next_step.rstrip('.')}; or check the files alone with --no-crm.",
                who=error.who,
            ) from None
        report.notes.append(f"The CRM was not checked: {error.what}")
