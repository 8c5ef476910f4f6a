"""`ecw mapping diff`: count what an edited mapping would change in the loaded rows."""

from __future__ import annotations

import click

from ecw.cli import JSON, print_json
from ecw.cli.mapping.inputs import STAGING, crm, staged_records
from ecw.cli.options import CRM, PRACTICE


@click.command("diff")
@click.argument("file")
@PRACTICE
@CRM
@STAGING
@JSON
def diff(file: str, crm_conn_id: str, staging: str | None, as_json: bool) -> None:
    """Count what a mapping would change in the loaded rows.

    FILE is a mapping file or its name. The command maps the staged records with it and compares them with the CRM. It
    shows counts and eCW ids, no values, and writes nothing.
    """
    from ecw.mapping.definition.files import load_mapping
    from ecw.mapping.tools.diff import difference
    from ecw.mapping.tools.loaded import rows_of
    from ecw.mapping.transform.to_row import Mapper

    mapping = load_mapping(file)
    with crm(crm_conn_id) as connection:
        counts = difference(Mapper(mapping), staged_records(mapping, staging), rows_of(connection, mapping))
    if as_json:
        print_json(counts.plain())
        return
    click.echo(
        f"{mapping.file.name}: of {counts.records} staged records {counts.changed} would change their row, "
        f"{counts.same} would not, {counts.not_loaded} would be new, {counts.rejected} would be rejected."
    )
    for column, number in counts.columns.most_common():
        click.echo(f"  changes in {column}: {number}")
    for rule, number in counts.rules.most_common():
        click.echo(f"  rejected for {rule}: {number}")
    for column in counts.missing:
        click.echo(f"  {column}: the CRM's table does not have this column")
    if counts.examples:
        click.echo(f"  for example {', '.join(counts.examples)}")
