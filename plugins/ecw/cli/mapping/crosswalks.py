"""`ecw mapping unmapped` and `ecw mapping propose`: find the codes that a crosswalk lacks, and propose lines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json
from ecw.cli.mapping.inputs import FOLDER, STAGING, crm, staged_records
from ecw.cli.options import CRM, PRACTICE

if TYPE_CHECKING:
    from ecw.mapping.definition.crosswalks import Crosswalk
    from ecw.mapping.definition.model import Mapping
    from ecw.mapping.tools.propose import Proposal
    from ecw.mapping.tools.unmapped import UnmappedCodes


@click.command("unmapped")
@FOLDER
@STAGING
@JSON
def unmapped(folder: str | None, staging: str | None, as_json: bool) -> None:
    """List codes that no crosswalk has, as lines to add."""
    from ecw.mapping.definition.files import all_mappings

    entries = [
        (mapping, entry)
        for mapping in all_mappings(folder).values()
        for entry in _staged_codes(mapping, staging).worst_first()
    ]
    if as_json:
        print_json([{"mapping": mapping.name, **asdict(entry), "line": entry.line} for mapping, entry in entries])
        return
    for crosswalk in dict.fromkeys(entry.crosswalk for _, entry in entries):
        missing = [entry for _, entry in entries if entry.crosswalk == crosswalk]
        records_rejected = sum(entry.records_rejected for entry in missing)
        click.echo(f"crosswalks/{crosswalk}.csv: unmapped codes {len(missing)}, records rejected {records_rejected}")
        for entry in missing:
            click.echo(f"  {entry.line}")
    if not entries:
        click.echo("Every staged code is in its crosswalk.")


@click.command("propose")
@click.argument("crosswalk")
@FOLDER
@PRACTICE
@CRM
@STAGING
@click.option("--write", is_flag=True, help="Add the certain lines to the crosswalk's file.")
@JSON
def propose(
    crosswalk: str, folder: str | None, crm_conn_id: str, staging: str | None, write: bool, as_json: bool
) -> None:
    """Propose crosswalk lines by comparing names.

    CROSSWALK is location or treatment_program. eCW's codes come from its pulled table, or from the staged records.
    """
    from ecw.did_you_mean import did_you_mean
    from ecw.errors import ConfigurationError
    from ecw.mapping.definition.files import all_mappings
    from ecw.mapping.tools import propose as proposing

    by_crosswalk = {name: mapping for mapping in all_mappings(folder).values() for name in mapping.crosswalks}
    if crosswalk not in by_crosswalk:
        raise ConfigurationError(
            f"No column uses a crosswalk {crosswalk!r}.", next_step=did_you_mean(crosswalk, by_crosswalk)
        )
    mapping = by_crosswalk[crosswalk]
    table = mapping.crosswalks[crosswalk]
    with crm(crm_conn_id) as connection:
        in_ecw, in_crm = proposing.ecw_names(connection, table), proposing.crm_names(connection, table)
    if in_ecw is None:
        codes = _staged_codes(mapping, staging).worst_first()
        in_ecw = {code.code: code.display or code.code for code in codes if code.crosswalk == crosswalk}
    if in_crm is None:
        click.echo(_no_list(table), err=as_json)
    proposal = proposing.propose(table, in_ecw, in_crm or [])
    if as_json:
        print_json(asdict(proposal))
    else:
        _show(crosswalk, proposal)
    if write and proposal.lines and table.path is not None:
        text = table.path.read_text(encoding="utf-8")
        table.path.write_text(text.rstrip("\n") + "\n" + "\n".join(proposal.lines) + "\n", encoding="utf-8")
        click.echo(
            f"Added to {table.path}. The next runs apply the lines to what they fetch; `ecw pull --mode full` "
            "fetches everything.",
            err=as_json,
        )


def _no_list(crosswalk: Crosswalk) -> str:
    policies = {"keep": "eCW's own names are loaded", "default": f"every row gets {crosswalk.default!r}"}
    return (
        f"The CRM's database has no list {crosswalk.crm_list or 'for this crosswalk'}, so nothing is translated: "
        f"{policies.get(crosswalk.unmapped, 'records with an unknown code are rejected')}. If the CRM has a list, "
        f"name it as `crm_list` of {crosswalk.name} in crosswalks/policies.yaml."
    )


def _staged_codes(mapping: Mapping, staging: str | None) -> UnmappedCodes:
    """Return the codes of the staged records that the mapping's crosswalks lack."""
    from ecw.mapping.tools.unmapped import UnmappedCodes

    codes = UnmappedCodes(mapping)
    for resource in staged_records(mapping, staging):
        codes.add(resource)
    return codes


def _show(crosswalk: str, proposal: Proposal) -> None:
    """Show the certain lines, then the ambiguous ones, then the codes and names without a counterpart."""
    click.echo(
        f"crosswalks/{crosswalk}.csv: {len(proposal.lines)} lines proposed, {len(proposal.ambiguous)} to be decided"
    )
    for line in proposal.lines:
        click.echo(f"  {line}")
    for one in proposal.ambiguous:
        candidates = ", ".join(f"{name} {similarity:.2f}" for name, similarity in one.candidates)
        click.echo(f"  ? {one.code} ({one.name}): {candidates}")
    for code, name in proposal.alone:
        click.echo(f"  - {code} ({name}): no similar name in the CRM")
    if proposal.unused:
        click.echo(f"No code of eCW is similar to: {', '.join(proposal.unused)}")
