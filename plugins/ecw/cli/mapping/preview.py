"""`ecw mapping preview` and `ecw mapping export`: the result of one mapping file, without the CRM."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

import click

from ecw.cli import JSON, print_json
from ecw.printable import as_table, printable


@click.command("preview")
@click.argument("file")
@click.option("--input", "source", required=True, help="A JSON or NDJSON file, or - for standard input.")
@click.option("--line", default=1, show_default=True, help="The line of an NDJSON file.")
@click.option("--push", is_flag=True, help="The other direction: from a row (the input) to a resource.")
@click.option("--into", help="With --push: a JSON file with the resource that eCW has.")
@JSON
def preview(file: str, source: str, line: int, push: bool, into: str | None, as_json: bool) -> None:
    """Show the row that a mapping makes of one resource.

    FILE is a mapping file or its name (`patient`). The command shows where each value comes from, and why.
    The output is patient data: keep it in this terminal.
    """
    from ecw.errors import ConfigurationError
    from ecw.mapping.definition.files import load_mapping
    from ecw.mapping.tools.preview import pulled, pushed
    from ecw.mapping.tools.read_record import read_record

    mapping = load_mapping(file)
    record = read_record(source, line)
    result = pushed(mapping, record, read_record(into, 1) if into else None) if push else pulled(mapping, record)
    wrong_type = [problem for problem in result.problems if problem.rule == "resource type"]
    if as_json:
        print_json(asdict(result))
        sys.exit(1 if wrong_type else 0)
    if wrong_type:
        raise ConfigurationError(
            f"{source} is not a FHIR {mapping.resource}.",
            next_step=f"name a file with a {mapping.resource}, or its mapping.",
        )
    cells = [("Label", "Column", "Value", "Place in the resource")]
    cells += [(one.label, one.column, _text(one.value), one.place) for one in result.columns]
    click.echo(as_table(cells))
    for one in result.columns:
        if one.why:
            click.echo(f"{one.column}: {'; '.join(one.why)}.")
    for problem in result.warnings:
        click.echo(f"Warning: {problem.column or 'the record'}: {problem.rule}: {problem.reason}.")
    for problem in result.problems:
        click.echo(f"Problem: {problem.column or 'the record'}: {problem.rule}: {problem.reason}.")
    for crosswalk, code in result.unmapped:
        click.echo(f"Unmapped: the crosswalk {crosswalk} does not have {code!r}.")
    if push:
        print_json(result.resource)


@click.command("export")
@click.argument("file")
@click.option("--viewdefinition", is_flag=True, required=True, help="As a ViewDefinition of SQL-on-FHIR.")
def export(file: str, viewdefinition: bool) -> None:
    """Write the pull side of a mapping for other tools."""
    from ecw.mapping.definition.files import load_mapping
    from ecw.mapping.tools.viewdefinition import view_definition

    print_json(view_definition(load_mapping(file)))


def _text(value: Any) -> str:
    return "" if value is None else printable(str(value))
