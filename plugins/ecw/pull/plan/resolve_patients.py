"""Find the patients and practitioners that a form names.

A patient is named by the CRM's id, by eCW's id or, if the connection allows it, by an MR number; a practitioner by
eCW's id.
"""

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
KEPT = "Airflow stores the form in its database and its audit log."  # the reason against MR numbers
INSTEAD = (
    "use the CRM or eCW id, which `ecw find` prints; or allow MR numbers in forms: "
    'set {"mr_numbers": true} in the connection\'s extra fields `pull` and `push`.'
)
LONG_ID = re.compile(r"[A-Za-z0-9.-]{40,64}")  # eCW's ids have 43 or 64 characters, account numbers only a few


def ecw_ids(engine: Engine, client: EcwClient, mapping: Mapping, entries: Sequence[str], *, numbers: bool) -> list[str]:
    """Return the eCW ids of the patients that the entries name, in the order of the entries, without duplicates.

    An entry is searched in the CRM first, as an id of either side and as an MR number; then in eCW, as an id of any
    form (FHIR R4, 2.24.0.1) and as an identifier. An entry in the form of eCW's ids counts as an id without a search.
    Without `numbers`, an entry must be an id.

    Raises ConfigurationError if entries match no patient or several, or are MR numbers without `numbers`; it names
    their lines, not their text.
    """
    practice = client.practice
    by_id, matches = _in_crm(engine, practice, mapping, entries)
    wrong: dict[str, list[str]] = {}
    for line, entry in enumerate(entries, 1):
        patients = matches.get(entry)
        if not patients and _is_id(client, entry):
            patients = {entry}
        elif not patients or (not numbers and not patients & by_id.get(entry, set())):
            if not numbers and (patients or _in_ecw(client, entry)):
                wrong.setdefault("MR numbers", []).append(str(line))
                continue
            patients = patients or _in_ecw(client, entry)
        matches[entry] = patients
        if len(patients) != 1:
            wrong.setdefault("several patients" if patients else "nobody", []).append(str(line))
    if by_number := wrong.get("MR numbers"):
        raise ConfigurationError(
            f"The form is refused: of the entries under Only these patients, {len(by_number)} of {len(entries)} are MR "
            f"numbers (line {', '.join(by_number)}). {KEPT}",
            next_step=INSTEAD,
        )
    _refuse("Only these patients", entries, wrong, "an eCW id is never ambiguous")
    return list(dict.fromkeys(ecw_id for entry in entries for ecw_id in matches[entry]))


def require_practitioners(engine: Engine, client: EcwClient, entries: Sequence[str]) -> None:
    """Raise ConfigurationError, with the lines, if an entry is not the eCW id of a practitioner in the CRM or eCW."""
    linked = links.among(engine, client.practice, "practitioner", entries)
    nobody = [
        str(line)
        for line, entry in enumerate(entries, 1)
        if entry not in linked and not _is_practitioner(client, entry)
    ]
    _refuse("Practitioners", entries, {"nobody": nobody}, "the CRM's practitioners have their ids as ecw_id")


def _refuse(field: str, entries: Sequence[str], wrong: dict[str, list[str]], hint: str) -> None:
    """Raise ConfigurationError if there are wrong lines: `wrong` has their numbers by what they match."""
    unknown = " and ".join(
        f"{len(lines)} of {len(entries)} match {who} (line {', '.join(lines)})" for who, lines in wrong.items() if lines
    )
    if unknown:
        raise ConfigurationError(
            f"The form is refused: of the entries under {field}, {unknown}, in the CRM and in eCW.",
            next_step=f"correct these lines ({hint}) and trigger again.",
        )


def _is_practitioner(client: EcwClient, entry: str) -> bool:
    try:
        return bool(ID.fullmatch(entry) and client.read("Practitioner", entry))
    except (RecordNotFound, WrongRecord):
        return False


def _in_crm(
    engine: Engine, practice: str, mapping: Mapping, entries: Sequence[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the eCW ids of the linked patients by entry: matched by an id, and matched by an id or an MR number.

    An eCW id takes precedence over an equal CRM id or MR number. A CRM id and an equal MR number may match two
    patients.
    """
    mapped = mapped_of(mapping)
    of_patients = (ecw_link.c.practice == practice, ecw_link.c.resource == "patient")
    with reading(engine) as connection:
        linked = select(ecw_link.c.ecw_id).where(*of_patients, ecw_link.c.ecw_id.in_(entries))
        by_ecw_id = {ecw_id: {ecw_id} for ecw_id in connection.scalars(linked)}
        others = [entry for entry in entries if entry not in by_ecw_id]
        by_crm_id = select(ecw_link.c.crm_id, ecw_link.c.ecw_id).where(*of_patients, ecw_link.c.crm_id.in_(others))
        by_id = {crm_id: {ecw_id} for crm_id, ecw_id in connection.execute(by_crm_id)} | by_ecw_id
        if MR_NUMBER not in mapped.columns:
            return by_id, by_id
        target = find(connection, mapped)
        number = target.columns[MR_NUMBER]
        numbered = (
            select(number, ecw_link.c.ecw_id)
            .select_from(ecw_link)
            .join(target.table, target.key == cast(ecw_link.c.crm_id, target.key.type))
            .where(*of_patients, number.in_(others))
        )
        by_either = {entry: set(patients) for entry, patients in by_id.items()}
        for mr_number, ecw_id in connection.execute(numbered):
            by_either.setdefault(str(mr_number), set()).add(ecw_id)
    return by_id, by_either


def _is_id(client: EcwClient, entry: str) -> bool:
    """Return True if an entry is a patient's eCW id: it has the form of eCW's ids, or the server has the record."""
    if LONG_ID.fullmatch(entry):
        return True
    try:
        return bool(ID.fullmatch(entry) and client.read("Patient", entry))
    except (RecordNotFound, WrongRecord, BadRequest):
        return False


def _in_ecw(client: EcwClient, entry: str) -> set[str]:
    if not client.server.takes("Patient", "identifier"):
        return set()
    patients = [patient for page in client.search("Patient", {"identifier": entry}) for patient in page]
    for patient in patients:
        if entry not in {each.get("value") for each in patient.get("identifier") or []}:
            raise InvalidResponse(
                "A search by identifier returned a patient without that identifier: the server ignored the filter.",
                next_step="trigger again with eCW ids instead of MR numbers, and ask eCW support.",
            )
    return {str(patient["id"]) for patient in patients}
