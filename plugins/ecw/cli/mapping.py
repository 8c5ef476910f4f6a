"""`ecw mapping`: check, preview, diff, unmapped, propose, export: for whoever edits a mapping file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ecw.cli import JSON, print_json
from ecw.cli.options import CRM, PRACTICE, chosen
from ecw.printable import as_table, printable

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from ecw.mapping.definition.model import Mapping
    from ecw.mapping.tools.propose import Proposal
    from ecw.mapping.validation.check import Checked

FOLDER = click.option("--folder", help="The folder of the mapping files. Default: ECW_MAPPINGS, or include/mappings.")
STAGING = click.option("--staging", help="The staging area, if it is not the default one.")


@click.group("mapping")
def command() -> None:
    """Check and try mapping files."""


@command.command("check")
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
    found = check_files(folder, practice.mappings if practice else None)
    own = Path(folder).parent / "quality" if folder else practice.quality if practice else None
    suites = [mapping for mapping in found.mappings if mapping.name in RESOURCES]
    for mapping in suites:
        found.problems += suite_problems(mapping.name, mapping, own)
    if not no_crm and found.mappings:
        _check_crm(crm_conn_id, found)
    if as_json:
        files = [str(mapping.file) for mapping in found.mappings]
        print_json({"files": files, "problems": found.problems, "notes": found.notes})
        sys.exit(1 if found.problems else 0)
    for note in found.notes:
        click.echo(note)
    if found.problems:
        number = f"{len(found.problems)} {'problem' if len(found.problems) == 1 else 'problems'}"
        raise MappingError(
            f"{number} in mapping files, crosswalks, quality suites or the CRM's tables:\n"
            + "\n".join(found.problems)
            + "\n",
            next_step="fix what is named above, in the file or in the CRM, and run `ecw mapping check` again.",
        )
    columns = sum(len(mapping.columns) for mapping in found.mappings)
    click.echo(
        f"{len(found.mappings)} mapping files with {columns} columns, {len(suites)} quality suites: no problems."
    )


def _check_crm(crm_conn_id: str, found: Checked) -> None:
    """Add what the CRM's tables and lists lack; problems of the files are shown although there is no CRM to reach."""
    from ecw.crm.db.schema.check import check_crm
    from ecw.errors import EcwError

    try:
        with _crm(crm_conn_id) as connection:
            check_crm(connection, found)
    except EcwError as error:
        if not found.problems:
            raise type(error)(
                f"The files have no problems; the CRM was not checked: {error.what}",
                next_step=f"{error.next_step.rstrip('.')}; or check the files alone with --no-crm.",
                who=error.who,
            ) from None
        found.notes.append(f"The CRM was not checked: {error.what}")


@command.command("preview")
@click.argument("file")
@click.option("--input", "source", required=True, help="A JSON file, or - for standard input; of NDJSON, see --line.")
@click.option("--line", default=1, show_default=True, help="Which line of an NDJSON file.")
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
    given = read_record(source, line)
    shown = pushed(mapping, given, read_record(into, 1) if into else None) if push else pulled(mapping, given)
    wrong_type = [problem for problem in shown.problems if problem.rule == "resource type"]
    if as_json:
        print_json(asdict(shown))
        sys.exit(1 if wrong_type else 0)
    if wrong_type:
        raise ConfigurationError(
            f"{source} is not a FHIR {mapping.resource}.",
            next_step=f"name a file with a {mapping.resource}, or its mapping.",
        )
    cells = [("Label", "Column", "Value", "Place in the resource")]
    cells += [(one.label, one.column, _text(one.value), one.place) for one in shown.columns]
    click.echo(as_table(cells))
    for one in shown.columns:
        if one.why:
            click.echo(f"{one.column}: {'; '.join(one.why)}.")
    for problem in shown.warnings:
        click.echo(f"Warning: {problem.column or 'the record'}: {problem.rule}: {problem.reason}.")
    for problem in shown.problems:
        click.echo(f"Problem: {problem.column or 'the record'}: {problem.rule}: {problem.reason}.")
    for crosswalk, code in shown.unmapped:
        click.echo(f"Unmapped: the crosswalk {crosswalk} does not have {code!r}.")
    if push:
        print_json(shown.resource)


@command.command("diff")
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
    with _crm(crm_conn_id) as connection:
        found = difference(Mapper(mapping), _staged(mapping, staging), rows_of(connection, mapping))
    if as_json:
        print_json(found.plain())
        return
    click.echo(
        f"{mapping.file.name}: of {found.records} staged records {found.changed} would change their row, "
        f"{found.same} would not, {found.not_loaded} would be new, {found.rejected} would be rejected."
    )
    for column, number in found.columns.most_common():
        click.echo(f"  changes in {column}: {number}")
    for rule, number in found.rules.most_common():
        click.echo(f"  rejected for {rule}: {number}")
    for column in found.missing:
        click.echo(f"  {column}: the CRM's table does not have this column")
    if found.examples:
        click.echo(f"  for example {', '.join(found.examples)}")


@command.command("unmapped")
@FOLDER
@STAGING
@JSON
def unmapped(folder: str | None, staging: str | None, as_json: bool) -> None:
    """List codes that no crosswalk has, as lines to add."""
    from ecw.mapping.definition.files import all_mappings
    from ecw.mapping.tools.unmapped import UnmappedCodes

    found = []
    for mapping in all_mappings(folder).values():
        codes = UnmappedCodes(mapping)
        for resource in _staged(mapping, staging):
            codes.add(resource)
        found += [(mapping, entry) for entry in codes.worst_first()]
    if as_json:
        print_json([{"mapping": mapping.name, **asdict(entry), "line": entry.line} for mapping, entry in found])
        return
    for crosswalk in dict.fromkeys(entry.crosswalk for _, entry in found):
        entries = [entry for _, entry in found if entry.crosswalk == crosswalk]
        held_back = sum(entry.held_back for entry in entries)
        click.echo(f"crosswalks/{crosswalk}.csv: unmapped codes {len(entries)}, records rejected {held_back}")
        for entry in entries:
            click.echo(f"  {entry.line}")
    if not found:
        click.echo("Every staged code is in its crosswalk.")


@command.command("propose")
@click.argument("crosswalk")
@FOLDER
@PRACTICE
@CRM
@STAGING
@click.option("--write", is_flag=True, help="Add the certain lines to the crosswalk's file.")
def propose(crosswalk: str, folder: str | None, crm_conn_id: str, staging: str | None, write: bool) -> None:
    """Propose crosswalk lines by comparing names.

    CROSSWALK is location or treatment_program. eCW's codes come from its pulled table, or from the staged records.
    """
    from ecw.errors import ConfigurationError
    from ecw.mapping.definition.files import all_mappings
    from ecw.mapping.tools import propose as proposing
    from ecw.mapping.tools.unmapped import UnmappedCodes
    from ecw.settings.did_you_mean import did_you_mean

    using = {name: mapping for mapping in all_mappings(folder).values() for name in mapping.crosswalks}
    if crosswalk not in using:
        raise ConfigurationError(f"No column uses a crosswalk {crosswalk!r}.", next_step=did_you_mean(crosswalk, using))
    table = using[crosswalk].crosswalks[crosswalk]
    with _crm(crm_conn_id) as connection:
        ecw, crm = proposing.ecw_names(connection, table), proposing.crm_names(connection, table)
    if ecw is None:
        codes = UnmappedCodes(using[crosswalk])
        for resource in _staged(using[crosswalk], staging):
            codes.add(resource)
        ecw = {one.code: one.display or one.code for one in codes.worst_first() if one.crosswalk == crosswalk}
    if crm is None:
        rest = {"keep": "eCW's own names enter", "default": f"{table.default!r} enters for all"}
        click.echo(
            f"The CRM's database has no list {table.crm_list or 'for this crosswalk'}, so nothing is translated: "
            f"{rest.get(table.unmapped, 'records with an unknown code are rejected')}. Where the CRM has such "
            f"a list, name it as `crm_list` of {crosswalk} in crosswalks/policies.yaml."
        )
        crm = []
    found = proposing.propose(table, ecw, crm)
    _show(crosswalk, found)
    if write and found.lines and table.path is not None:
        text = table.path.read_text(encoding="utf-8")
        table.path.write_text(text.rstrip("\n") + "\n" + "\n".join(found.lines) + "\n", encoding="utf-8")
        click.echo(f"Added to {table.path}: the runs map again what they fetch; `ecw pull --mode full` fetches all.")


def _show(crosswalk: str, found: Proposal) -> None:
    """Show the lines that are certain, then what a person decides, then what has no counterpart."""
    click.echo(f"crosswalks/{crosswalk}.csv: {len(found.lines)} lines proposed, {len(found.ambiguous)} to be decided")
    for line in found.lines:
        click.echo(f"  {line}")
    for one in found.ambiguous:
        click.echo(f"  ? {one.code} ({one.name}): " + ", ".join(f"{word} {by:.2f}" for word, by in one.candidates))
    for code, name in found.alone:
        click.echo(f"  - {code} ({name}): nothing in the CRM is like it")
    if found.unused:
        click.echo(f"Nothing in eCW means: {', '.join(found.unused)}")


@command.command("export")
@click.argument("file")
@click.option("--viewdefinition", is_flag=True, required=True, help="As a ViewDefinition of SQL-on-FHIR.")
def export(file: str, viewdefinition: bool) -> None:
    """Write the pull side of a mapping for other tools."""
    from ecw.mapping.definition.files import load_mapping
    from ecw.mapping.tools.viewdefinition import view_definition

    print_json(view_definition(load_mapping(file)))


@contextmanager
def _crm(conn_id: str) -> Iterator[Connection]:
    from ecw.crm.db.engine import open_crm, reading

    with open_crm(conn_id) as engine, reading(engine) as connection:
        yield connection


def _staged(mapping: Mapping, asked: str | None) -> Iterator[dict[str, Any]]:
    """Yield the latest staged version of every record of a resource."""
    from ecw.resources import RESOURCES
    from ecw.staging import batch_file, filesystem
    from ecw.staging.location import staging_root

    name = next((one.name for one in RESOURCES.values() if one.fhir_type == mapping.resource), mapping.name)
    root = staging_root(asked)
    runs = []
    for practice in filesystem.names(root):
        for run in filesystem.names(filesystem.join(root, practice)):
            folder = filesystem.join(root, practice, run)
            begun = batch_file.read_json(filesystem.join(folder, "run.json"))
            path = filesystem.join(folder, name, "extract.ndjson.gz")
            if begun is not None and batch_file.manifest(path) is not None:
                runs.append((begun["begun"], practice, path))
    seen = set()
    for _, practice, path in sorted(runs, reverse=True):
        for resource in batch_file.read(path):
            known = (practice, resource.get("id"))
            if known not in seen:
                seen.add(known)
                yield resource


def _text(value: Any) -> str:
    return "" if value is None else printable(str(value))
