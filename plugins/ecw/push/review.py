"""What waits for a person: held matches and conflicts, both sides side by side, and the decision itself.

Commands and pages call these functions alike; `by` is who decides, as the journal names the person.
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

LEAVE = "leave"  # takes a choice back


@dataclass(frozen=True, slots=True)
class Compared:
    """One column on both sides; patient data: it is shown, and kept nowhere.

    `emr` holds eCW's value by eCW id. `differs`: one of them says something else than the CRM, beyond its spelling.
    """

    column: str
    label: str
    crm: Any
    emr: Mapping[str, Any]
    differs: bool


@dataclass(frozen=True, slots=True)
class Sides:
    """A record of the CRM beside those of eCW; `missing` are the eCW ids that eCW does not have any more."""

    columns: list[Compared]
    ecw_ids: tuple[str, ...]
    missing: tuple[str, ...] = ()


def sides(crm: CrmSide, client: EcwClient, crm_id: str, ecw_ids: Iterable[str]) -> Sides:
    """Read a record of the CRM and records of eCW, a call each, and compare them column by column.

    Raises what a call raises.
    """
    with reading(crm.engine) as connection:
        record = crm.patients.read(connection, crm_id)
    mapper, theirs, missing = Mapper(crm.mapping), {}, []
    for ecw_id in ecw_ids:
        try:
            theirs[ecw_id] = mapper.row(client.read(crm.mapping.resource, ecw_id)).row
        except RecordNotFound:
            missing.append(ecw_id)
    # Another practice's row is shown to nobody here, nor one that could be another's.
    mine = record is not None and not record.elsewhere and (record.linked or not record.unassigned)
    ours = record.row if record and mine else {}
    compared = []
    for column in crm.mapping.columns:
        emr = {ecw_id: row.get(column.name) for ecw_id, row in theirs.items()}
        here = ours.get(column.name)
        nothing = here is None and all(value is None for value in emr.values())
        if nothing or column.name == crm.mapping.key:  # the key is the eCW id itself
            continue
        differs = any(not says_the_same(here, value) for value in emr.values())
        compared.append(Compared(column.name, column.label, here, emr, differs))
    return Sides(compared, tuple(theirs), tuple(missing))


def spelled(crm: CrmSide, crm_id: str) -> str:
    """Return a patient's id as links, locks and intents have it.  Raises ConfigurationError: the CRM has no such."""
    found = canonical(crm, crm_id)
    if found is None:
        raise ConfigurationError(f"The CRM has no patient {crm_id}.", next_step=decide_identity.LIST)
    return found


def held(crm: CrmSide, crm_id: str) -> Intent:
    """Return a held match.  Raises ConfigurationError where the patient is not held."""
    with reading(crm.engine) as connection:
        found = intents.latest(connection, crm.place, crm_id)
    if found is None or found.state != intents.HELD:
        raise ConfigurationError(
            f"No match of the CRM's patient {crm_id} is held.", next_step="`ecw matches list` shows who is."
        )
    return found


def choose_match(crm: CrmSide, crm_id: str, choice: str, by: str) -> None:
    """Choose for a held patient: the eCW id that it is, NEW, or LEAVE; the next push does it.

    Raises ConfigurationError.
    """
    crm_id = spelled(crm, crm_id)
    found = held(crm, crm_id)
    if found.match_rule == RUNG:
        raise ConfigurationError(
            f"The CRM's patient {crm_id} is linked, and one of both sides may be somebody else by now.",
            next_step=f"`ecw matches same {crm_id}` or `ecw matches unlink {crm_id}`; `show` has both sides.",
        )
    if not intents.choose(crm.engine, crm.place, crm_id, None if choice == LEAVE else choice, by):
        raise ConfigurationError(
            f"{choice!r} is none of the eCW ids that this patient may be.",
            next_step=f"choose one of {', '.join([*found.candidates, intents.NEW, LEAVE])}.",
        )
    progress.forget(crm.engine, crm.place, crm_id)


def choose_winner(crm: CrmSide, conflict: conflicts.Field, winner: Side, by: str) -> None:
    """Choose whose value of a field counts: the next push or pull does it.  Raises ConfigurationError."""
    if not conflicts.choose(crm.engine, conflict, winner, by):
        raise ConfigurationError(
            f"The field {conflict.column} of the CRM's {conflict.resource} {conflict.crm_id} waits for no choice.",
            next_step="`ecw conflicts list` shows what does.",
        )
    progress.forget(crm.engine, crm.place, conflict.crm_id)


def same_person(crm: CrmSide, client: EcwClient, crm_id: str, by: str) -> None:
    """Note that a linked patient is one person on both sides, as they are now.  Raises ConfigurationError."""
    crm_id = spelled(crm, crm_id)
    candidates = held(crm, crm_id).candidates
    if len(candidates) != 1:
        raise ConfigurationError(
            f"The identity of the CRM's patient {crm_id} is not held.", next_step=decide_identity.LIST
        )
    present = client.read(crm.mapping.resource, candidates[0])
    decide_identity.same_person(crm, crm_id, Mapper(crm.mapping).row(present).row, by)


def unlink(crm: CrmSide, ecw_conn_id: str, crm_id: str, by: str) -> str:
    """Take a patient's link away; return the eCW id that it had.  Raises ConfigurationError."""
    names = [name for name in RESOURCES if name != crm.place.resource]
    followers = {mapping.name: mapped_of(mapping) for mapping in mappings_of(ecw_conn_id, names)}
    return decide_identity.unlink(crm, spelled(crm, crm_id), by, followers)
