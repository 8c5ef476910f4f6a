"""`ecw matches`: patients of the CRM whom eCW may have already; a person chooses."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ecw.cli import JSON, print_rows
from ecw.printable import as_table

if TYPE_CHECKING:
    from ecw.push.context import CrmSide
    from ecw.push.intents import Intent

ECW = click.option("--conn-id", default="ecw_default", show_default=True, help="The Airflow connection of eCW.")
CRM = click.option("--crm-conn-id", default="crm_default", show_default=True, help="The Airflow connection of the CRM.")
LEAVE = "leave"


@click.group("matches")
def command() -> None:
    """Held matches: list them, look at one, decide."""


@command.command("list")
@JSON
@ECW
@CRM
def listed(as_json: bool, conn_id: str, crm_conn_id: str) -> None:
    """List the patients that are held, with the eCW ids that they may be, and how these were found."""
    from ecw.crm.load.identity import RUNG
    from ecw.push import intents

    with side(conn_id, crm_conn_id) as crm:
        held = intents.held(crm.engine, crm.place)
    rows = [(crm_id, one.rung or "", ", ".join(one.candidates) or "nobody", one.choice or "") for crm_id, one in held]
    print_rows(("CRM id", "found by", "eCW ids", "chosen"), rows, as_json=as_json, otherwise="No match is held.")
    if as_json or not rows:
        return
    click.echo("Choose: ecw matches choose CRM_ID (an eCW id | new | leave).  Look first: ecw matches show CRM_ID.")
    if any(one.rung == RUNG for _, one in held):
        click.echo("Found by identity: ecw matches same CRM_ID, or ecw matches unlink CRM_ID.")


@command.command("show")
@click.argument("crm_id")
@ECW
@CRM
def show(crm_id: str, conn_id: str, crm_conn_id: str) -> None:
    """Show a held patient beside those that eCW has, value by value.

    The outcome is patient data: it goes to the terminal and nowhere else.
    """
    from ecw.crm.db.engine import reading
    from ecw.mapping.transform.to_row import Mapper
    from ecw.practice.client import client_for

    with side(conn_id, crm_conn_id) as crm:
        crm_id = spelled(crm, crm_id)
        candidates = _held(crm, crm_id).candidates
        with reading(crm.engine) as connection:
            record = crm.patients.read(connection, crm_id)
        client, mapper = client_for(conn_id, "manual", crm.engine), Mapper(crm.mapping)
        theirs = [mapper.row(client.read(crm.mapping.resource, ecw_id)).row for ecw_id in candidates]
    ours = record.row if record else {}
    rows = [("", "CRM", *candidates)]
    for column in crm.mapping.columns:
        values = [row.get(column.name) for row in (ours, *theirs)]
        if any(value is not None for value in values):
            rows.append((column.label, *("" if value is None else str(value) for value in values)))
    click.echo(as_table(rows))


@command.command("choose")
@click.argument("crm_id")
@click.argument("choice")
@ECW
@CRM
def choose(crm_id: str, choice: str, conn_id: str, crm_conn_id: str) -> None:
    """Choose for a held patient: the eCW id that it is, `new` for a new patient, `leave` to take a choice back.

    The next push does it.
    """
    from ecw.crm.load.identity import RUNG
    from ecw.errors import ConfigurationError
    from ecw.push import intents, progress

    with side(conn_id, crm_conn_id) as crm:
        crm_id = spelled(crm, crm_id)
        held = _held(crm, crm_id)
        candidates, wanted = held.candidates, None if choice == LEAVE else choice
        if held.rung == RUNG:
            raise ConfigurationError(
                f"The CRM's patient {crm_id} is linked, and one of both sides may be somebody else by now.",
                next_move=f"`ecw matches same {crm_id}` or `ecw matches unlink {crm_id}`; `show` has both sides.",
            )
        if not intents.choose(crm.engine, crm.place, crm_id, wanted):
            raise ConfigurationError(
                f"{choice!r} is none of the eCW ids that this patient may be.",
                next_move=f"choose one of {', '.join([*candidates, intents.NEW, LEAVE])}.",
            )
        progress.forget(crm.engine, crm.place, crm_id)
    click.echo("Left as it is." if wanted is None else "Chosen; the next push does it.")


@command.command("same")
@click.argument("crm_id")
@ECW
@CRM
def same(crm_id: str, conn_id: str, crm_conn_id: str) -> None:
    """Say that a linked patient is one person on both sides, as they are now; what differs travels again.

    Look first: ecw matches show CRM_ID.
    """
    from ecw.mapping.transform.to_row import Mapper
    from ecw.practice.client import client_for
    from ecw.push.decide_identity import same_person

    with side(conn_id, crm_conn_id) as crm:
        crm_id = spelled(crm, crm_id)
        [ecw_id] = _held(crm, crm_id).candidates
        present = client_for(conn_id, "manual", crm.engine).read(crm.mapping.resource, ecw_id)
        same_person(crm, crm_id, Mapper(crm.mapping).row(present).row, getpass.getuser())
    click.echo("The same person: the next pull and push go on with it.")


@command.command("unlink")
@click.argument("crm_id")
@ECW
@CRM
def unlink(crm_id: str, conn_id: str, crm_conn_id: str) -> None:
    """Take the link of a patient away: the CRM's row describes somebody else than eCW's chart.

    The next push looks for the row's person, and creates one where eCW has none; the next pull makes a row of its own
    for the chart.  Numbers that eCW gave are taken out of the row.
    """
    from ecw.practice.mappings import mappings_of
    from ecw.pull.mapped_columns import mapped_of
    from ecw.push import decide_identity
    from ecw.resources import RESOURCES

    with side(conn_id, crm_conn_id) as crm:
        names = [name for name in RESOURCES if name != crm.place.resource]
        followers = [mapped_of(mapping) for mapping in mappings_of(conn_id, names)]
        former = decide_identity.unlink(crm, spelled(crm, crm_id), getpass.getuser(), followers)
    click.echo(f"Unlinked from {former}; the next push looks for the person, the next pull makes a row for the chart.")


@contextmanager
def side(conn_id: str, crm_conn_id: str) -> Iterator[CrmSide]:
    """Give the CRM's side of the practice."""
    from ecw.crm.db.engine import open_crm
    from ecw.push.plan.begin import crm_side

    with open_crm(crm_conn_id) as engine:
        yield crm_side(engine, conn_id)


def spelled(crm: CrmSide, crm_id: str) -> str:
    """Return a patient's id as we keep it."""
    from ecw.errors import ConfigurationError
    from ecw.push.context import canonical

    spelled = canonical(crm, crm_id)
    if spelled is None:
        raise ConfigurationError(f"The CRM has no patient {crm_id}.", next_move="`ecw matches list` shows who is held.")
    return spelled


def _held(crm: CrmSide, crm_id: str) -> Intent:
    from ecw.errors import ConfigurationError
    from ecw.push import intents

    for held, one in intents.held(crm.engine, crm.place):
        if held == crm_id:
            return one
    raise ConfigurationError(
        f"No match of the CRM's patient {crm_id} is held.", next_move="`ecw matches list` shows who is."
    )
