"""`ecw matches`: held patients, which eCW may have already; a person chooses."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_json, print_rows
from ecw.cli.options import CRM, ECW
from ecw.models import RunType
from ecw.printable import as_table

if TYPE_CHECKING:
    from ecw.push.context import CrmSide


@click.group("matches")
def command() -> None:
    """List held patients, compare both sides, decide."""


@command.command("list")
@JSON
@ECW
@CRM
def listed(as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """List the held patients, and the eCW ids of possible matches."""
    from ecw.crm.load.identity import RUNG
    from ecw.push import intents

    with side(conn_id, crm_conn_id) as crm:
        held = intents.held(crm.engine, crm.place)
    rows = [
        (crm_id, one.match_rule or "", ", ".join(one.candidates) or "nobody", one.choice or "") for crm_id, one in held
    ]
    print_rows(("CRM id", "found by", "eCW ids", "chosen"), rows, as_json=as_json, otherwise="No match is held.")
    if as_json or not rows:
        return
    click.echo("Compare: ecw matches show CRM_ID.  Choose: ecw matches choose CRM_ID (an eCW id | new | leave).")
    if any(one.match_rule == RUNG for _, one in held):
        click.echo("Found by identity: ecw matches same CRM_ID, or ecw matches unlink CRM_ID.")


@command.command("show")
@click.argument("crm_id")
@ECW
@CRM
def show(crm_id: str, conn_id: str, crm_conn_id: str) -> None:
    """Compare a held patient with eCW's, value by value.

    The output is patient data: it is written to the terminal only.
    """
    from ecw.practice.client import client_for
    from ecw.push import review
    from ecw.settings import connections

    with side(conn_id, crm_conn_id) as crm:
        crm_id = review.spelled(crm, crm_id)
        candidates = review.held(crm, crm_id).candidates
        sides = review.sides(crm, client_for(connections.get(conn_id), RunType.MANUAL, crm.engine), crm_id, candidates)
    rows = [("", "CRM", *sides.ecw_ids)]
    for column in sides.columns:
        values = (column.crm, *(column.emr[ecw_id] for ecw_id in sides.ecw_ids))
        rows.append((column.label, *("" if value is None else str(value) for value in values)))
    click.echo(as_table(rows))
    if sides.missing:
        click.echo(f"eCW does not have {', '.join(sides.missing)} any more.")


@command.command("choose")
@click.argument("crm_id")
@click.argument("choice")
@JSON
@ECW
@CRM
def choose(crm_id: str, choice: str, as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """Decide who a held patient is; the next push applies it.

    CHOICE is the eCW id of the patient, `new` for a new patient, or `leave` to take a choice back.
    """
    from ecw.crm.journal import terminal_user
    from ecw.push import review

    with side(conn_id, crm_conn_id) as crm:
        review.choose_match(crm, crm_id, choice, terminal_user())
    if as_json:
        print_json({"crm_id": crm_id, "choice": choice})
        return
    click.echo("Left as it is." if choice == review.LEAVE else "Chosen; the next push applies it.")


@command.command("same")
@click.argument("crm_id")
@JSON
@ECW
@CRM
def same(crm_id: str, as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """Confirm that both sides of a link are one person.

    Compare both sides first: ecw matches show CRM_ID.
    """
    from ecw.practice.client import client_for
    from ecw.push import review
    from ecw.settings import connections

    with side(conn_id, crm_conn_id) as crm:
        review.same_person(
            crm, client_for(connections.get(conn_id), RunType.MANUAL, crm.engine), crm_id, getpass.getuser()
        )
    if as_json:
        print_json({"crm_id": crm_id, "choice": "same"})
        return
    click.echo("The same person: the next pull and push synchronise the patient again.")


@command.command("unlink")
@click.argument("crm_id")
@JSON
@ECW
@CRM
def unlink(crm_id: str, as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """Remove a link whose two sides are different persons.

    The next push searches eCW for the person of the CRM's row, and creates a patient if eCW has none. The next pull
    inserts a row for the patient of eCW. Numbers that eCW assigned are removed from the CRM's row.
    """
    from ecw.push import review

    with side(conn_id, crm_conn_id) as crm:
        former = review.unlink(crm, conn_id, crm_id, getpass.getuser())
    if as_json:
        print_json({"crm_id": crm_id, "choice": "unlink", "former_ecw_id": former})
        return
    click.echo(f"Unlinked from {former}: the next push searches eCW for the person of the CRM's row, and creates")
    click.echo("a patient if eCW has none; the next pull inserts a row for the patient of eCW.")


@contextmanager
def side(conn_id: str, crm_conn_id: str) -> Iterator[CrmSide]:
    """Yield the CRM's side of the practice."""
    from ecw.crm.db.engine import open_crm
    from ecw.practice.mappings import PracticeMappings
    from ecw.push.context import crm_side

    with open_crm(crm_conn_id) as engine:
        yield crm_side(engine, PracticeMappings.at(conn_id))
