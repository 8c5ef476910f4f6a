"""Decisions of a person: compare both sides of held matches and conflicts, and store the choice.

Commands and pages call the same functions; `by` is the name of the person in the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.load.identity import RUNG
from ecw.crm.state import conflicts
from ecw.errors import ConfigurationError, RecordNotFound
from ecw.fhir.client import EcwClient
from ecw.identity.text import says_the_same
from ecw.mapping.transform.to_row import Mapper
from ecw.practice.mappings import mappings_of
from ecw.pull.mapped_columns import mapped_of
from ecw.push import decide_identity, intents, progress
from ecw.push.context import CrmSide, canonical
from ecw.push.intents import Intent
from ecw.resources import RESOURCES
from ecw.three_way_merge import Side

LEAVE = "leave"  # removes a choice


@dataclass(frozen=True, slots=True)
class Compared:
    """One column on both sides; it holds patient data, which is shown and not stored.

    `emr` has eCW's values by eCW id. `differs`: one of them differs from the CRM's value by more than its spelling.
    """

    column: str
    label: str
    crm: Any
    emr: Mapping[str, Any]
    differs: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """A record of the CRM compared with records of eCW; `missing` are the eCW ids that eCW no longer has."""

    columns: list[Compared]
    ecw_ids: tuple[str, ...]
    missing: tuple[str, ...] = ()


def sides(crm: CrmSide, client: EcwClient, crm_id: str, ecw_ids: Iterable[str]) -> Sides:
    """Read a record of the CRM and records of eCW, with one call each, and compare them column by column.

    Raises the errors of a call.
    """
    with reading(crm.engine) as connection:
        record = crm.patients.read(connection, crm_id)
    mapper, ecw_rows, missing = Mapper(crm.mapping), {}, []
    for ecw_id in ecw_ids:
        try:
            ecw_rows[ecw_id] = mapper.row(client.read(crm.mapping.resource, ecw_id)).row
        except RecordNotFound:
            missing.append(ecw_id)
    # Do not show a row that is, or could be, another practice's.
    of_practice = record is not None and not record.elsewhere and (record.linked or not record.unassigned)
    crm_row = record.row if record and of_practice else {}
    compared = []
    for column in crm.mapping.columns:
        emr = {ecw_id: row.get(column.name) for ecw_id, row in ecw_rows.items()}
        value = crm_row.get(column.name)
        empty = value is None and all(other is None for other in emr.values())
        if empty or column.name == crm.mapping.key:  # the key is the eCW id itself
            continue
        differs = any(not says_the_same(value, other) for other in emr.values())
        compared.append(Compared(column.name, column.label, value, emr, differs))
    return Sides(compared, tuple(ecw_rows), tuple(missing))


def spelled(crm: CrmSide, crm_id: str) -> str:
    """Return a patient's id in the spelling of links, locks and intents.

    Raises ConfigurationError if the CRM has no such patient.
    """
    canonical_id = canonical(crm, crm_id)
    if canonical_id is None:
        raise ConfigurationError(f"The CRM has no patient {crm_id}.", next_step=decide_identity.LIST)
    return canonical_id


def held(crm: CrmSide, crm_id: str) -> Intent:
    """Return the intent of a held patient.  Raises ConfigurationError if the patient is not held."""
    with reading(crm.engine) as connection:
        intent = intents.latest(connection, crm.place, crm_id)
    if intent is None or intent.state != intents.HELD:
        raise ConfigurationError(f"No match of the CRM's patient {crm_id} is held.", next_step=decide_identity.LIST)
    return intent


def choose_match(crm: CrmSide, crm_id: str, choice: str, by: str) -> None:
    """Store a choice for a held patient: its eCW id, NEW, or LEAVE; the next push carries it out.

    Raises ConfigurationError.
    """
    crm_id = spelled(crm, crm_id)
    intent = held(crm, crm_id)
    if intent.match_rule == RUNG:
        raise ConfigurationError(
            f"The CRM's patient {crm_id} is linked, and its two sides may be two persons.",
            next_step=f"`ecw matches same {crm_id}` or `ecw matches unlink {crm_id}`; `show` has both sides.",
        )
    if not intents.choose(crm.engine, crm.place, crm_id, None if choice == LEAVE else choice, by):
        raise ConfigurationError(
            f"{choice!r} is not among the patient's candidates.",
            next_step=f"choose one of {', '.join([*intent.candidates, intents.NEW, LEAVE])}.",
        )
    progress.forget(crm.engine, crm.place, crm_id)


def choose_winner(crm: CrmSide, conflict: conflicts.Field, winner: Side, by: str) -> None:
    """Store which side's value of a field wins; the next push or pull writes it.  Raises ConfigurationError."""
    if not conflicts.choose(crm.engine, conflict, winner, by):
        raise ConfigurationError(
            f"The field {conflict.column} of the CRM's {conflict.resource} {conflict.crm_id} waits for no choice.",
            next_step="`ecw conflicts list` shows the fields that wait for one.",
        )
    progress.forget(crm.engine, crm.place, conflict.crm_id)


def same_person(crm: CrmSide, client: EcwClient, crm_id: str, by: str) -> None:
    """Store that both sides of a linked patient, as they are now, are one person.  Raises ConfigurationError."""
    crm_id = spelled(crm, crm_id)
    candidates = held(crm, crm_id).candidates
    if len(candidates) != 1:
        raise ConfigurationError(
            f"The identity of the CRM's patient {crm_id} is not held.", next_step=decide_identity.LIST
        )
    present = client.read(crm.mapping.resource, candidates[0])
    decide_identity.same_person(crm, crm_id, Mapper(crm.mapping).row(present).row, by)


def unlink(crm: CrmSide, ecw_conn_id: str, crm_id: str, by: str) -> str:
    """Delete a patient's link; return the eCW id that it had.  Raises ConfigurationError."""
    names = [name for name in RESOURCES if name != crm.place.resource]
    followers = {mapping.name: mapped_of(mapping) for mapping in mappings_of(ecw_conn_id, names)}
    return decide_identity.unlink(crm, spelled(crm, crm_id), by, followers)
