"""Whom a form means: patients by an id of either side, or an MR number where it may be, practitioners by an eCW id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Engine, cast, select

from ecw.crm.db.business_table import find
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_link
from ecw.crm.state import links
from ecw.errors import BadRequest, ConfigurationError, InvalidResponse, RecordNotFound, WrongRecord
from ecw.fhir.client import ID
from ecw.pull.mapped_columns import mapped_of

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient
    from ecw.mapping.definition.model import Mapping

MR_NUMBER = "mr_number"  # the column of the patients' mapping
KEPT = "Airflow keeps what a form says, in its database and its audit log."  # said of MR numbers
INSTEAD = (
    "take the CRM or eCW id, which `ecw find` tells; or let forms take MR numbers all the same: the connection's extra "
    'fields `pull` and `push`, {"mr_numbers": true}.'
)
LONG_ID = re.compile(r"[A-Za-z0-9.-]{40,64}")  # eCW's are of 43 or 64 characters, account numbers of a few


def ecw_ids(engine: Engine, client: EcwClient, mapping: Mapping, entries: Sequence[str], *, numbers: bool) -> list[str]:
    """Return the eCW ids of the patients meant, in the order of the entries, nobody twice.

    The CRM is asked first, by the ids of both sides and by MR number; then eCW, for a record of that id, whatever its
    form (FHIR R4, 2.24.0.1), then by its search for an identifier. What looks like an id of eCW's is taken for one.
    Without `numbers` an entry must be an id.

    Raises ConfigurationError that names the lines, not what stands in them, where nobody or several are meant, or where
    they are MR numbers.
    """
    practice = client.practice
    ids, found = _in_crm(engine, practice, mapping, entries)
    wrong: dict[str, list[str]] = {}
    for line, entry in enumerate(entries, 1):
        meant = found.get(entry)
        if not meant and _is_id(client, entry):
            meant = {entry}
        elif not meant or (not numbers and not meant & ids.get(entry, set())):
            if not numbers and (meant or _in_ecw(client, entry)):
                wrong.setdefault("MR numbers", []).append(str(line))
                continue
            meant = meant or _in_ecw(client, entry)
        found[entry] = meant
        if len(meant) != 1:
            wrong.setdefault("several patients" if meant else "nobody", []).append(str(line))
    if by_number := wrong.get("MR numbers"):
        raise ConfigurationError(
            f"The form is refused: of the entries under Only these patients, {len(by_number)} of {len(entries)} are MR "
            f"numbers (line {', '.join(by_number)}). {KEPT}",
            next_step=INSTEAD,
        )
    _refuse("Only these patients", entries, wrong, "an eCW id is never ambiguous")
    return list(dict.fromkeys(ecw_id for entry in entries for ecw_id in found[entry]))


def require_practitioners(engine: Engine, client: EcwClient, entries: Sequence[str]) -> None:
    """Do nothing where every entry is the eCW id of a practitioner; the CRM is asked first, then eCW.

    Raises ConfigurationError that names the lines.
    """
    linked = links.among(engine, client.practice, "practitioner", entries)
    nobody = [
        str(line) for line, entry in enumerate(entries, 1) if entry not in linked and not _practises(client, entry)
    ]
    _refuse("Practitioners", entries, {"nobody": nobody}, "the CRM's practitioners have their ids as ecw_id")


def _refuse(field: str, entries: Sequence[str], wrong: dict[str, list[str]], hint: str) -> None:
    """Raise ConfigurationError where lines of a field of the form mean nobody or several: their numbers, by whom."""
    unknown = " and ".join(
        f"{len(lines)} of {len(entries)} mean {who} (line {', '.join(lines)})" for who, lines in wrong.items() if lines
    )
    if unknown:
        raise ConfigurationError(
            f"The form is refused: of the entries under {field}, {unknown}, in the CRM and in eCW.",
            next_step=f"correct these lines ({hint}) and trigger again.",
        )


def _practises(client: EcwClient, entry: str) -> bool:
    try:
        return bool(ID.fullmatch(entry) and client.read("Practitioner", entry))
    except (RecordNotFound, WrongRecord):
        return False


def _in_crm(
    engine: Engine, practice: str, mapping: Mapping, entries: Sequence[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return who is linked under an id, and who under an id or an MR number.

    An id of eCW's goes before one of the CRM's or a number that reads the same; these two may mean two patients.
    """
    mapped = mapped_of(mapping)
    of_patients = (ecw_link.c.practice == practice, ecw_link.c.resource == "patient")
    with reading(engine) as connection:
        linked = select(ecw_link.c.ecw_id).where(*of_patients, ecw_link.c.ecw_id.in_(entries))
        found = {ecw_id: {ecw_id} for ecw_id in connection.scalars(linked)}
        ours = [entry for entry in entries if entry not in found]
        by_crm_id = select(ecw_link.c.crm_id, ecw_link.c.ecw_id).where(*of_patients, ecw_link.c.crm_id.in_(ours))
        ids = {crm_id: {ecw_id} for crm_id, ecw_id in connection.execute(by_crm_id)} | found
        if MR_NUMBER not in mapped.columns:
            return ids, ids
        target = find(connection, mapped)
        number = target.columns[MR_NUMBER]
        numbered = (
            select(number, ecw_link.c.ecw_id)
            .select_from(ecw_link)
            .join(target.table, target.key == cast(ecw_link.c.crm_id, target.key.type))
            .where(*of_patients, number.in_([entry for entry in entries if entry not in found]))
        )
        both = {entry: set(meant) for entry, meant in ids.items()}
        for written, meant in connection.execute(numbered):
            both.setdefault(str(written), set()).add(meant)
    return ids, both


def _is_id(client: EcwClient, entry: str) -> bool:
    """Return True if an entry is the id of a patient: it has the form of eCW's, or the server knows it."""
    if LONG_ID.fullmatch(entry):
        return True
    try:
        return bool(ID.fullmatch(entry) and client.read("Patient", entry))
    except (RecordNotFound, WrongRecord, BadRequest):
        return False


def _in_ecw(client: EcwClient, entry: str) -> set[str]:
    if not client.server.takes("Patient", "identifier"):
        return set()
    found = [patient for page in client.search("Patient", {"identifier": entry}) for patient in page]
    for patient in found:
        if entry not in {each.get("value") for each in patient.get("identifier") or []}:
            raise InvalidResponse(
                "eCW's answer to a search by identifier holds a patient with another one: the filter was ignored.",
                next_step="trigger again with eCW ids instead of MR numbers, and ask eCW support.",
            )
    return {str(patient["id"]) for patient in found}
