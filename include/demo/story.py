"""The events in the demo's practice: edits by users of the CRM, and wrong data in eCW.

All people are invented. The results are real: the pull and the push handle these edits like any others.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import requests

from ecw.crm.db.engine import engine_from_url, reading
from ecw.reports import rejects, reviews

# A patient whom intake has just entered; the sandbox's population does not have this name.
NEWCOMER = {
    **{"identifier": "CRM-1001", "last_name": "Fairweather", "first_name": "Nora", "birth_date": "1986-04-17"},
    **{"gender": "Female", "phone": "5185550142", "city": "Albany", "state": "NY", "postal_code": "12207"},
    **{"active": True, "deceased": False},
}
# A patient with a chart in eCW that has not been pulled into the CRM yet.
WALK_IN = {
    **{"resourceType": "Patient", "id": "walk-in-1", "active": True, "gender": "female", "birthDate": "1991-03-08"},
    "name": [{"use": "usual", "family": "Lightfoot", "given": ["Camila"]}],
}
BORN_BEFORE = "1999-01-01"
SECONDS = 60


class Clinic:
    """The practice's side, through the sandbox's admin API."""

    def __init__(self, admin_url: str) -> None:
        self.url = admin_url
        self.session = requests.Session()
        self.session.trust_env = False  # do not send calls to 127.0.0.1 through a proxy

    def ready(self) -> bool:
        """Return True if the sandbox answers."""
        try:
            return self.session.get(f"{self.url}/records", timeout=SECONDS).ok
        except requests.RequestException:
            return False

    def patients(self) -> list[dict[str, Any]]:
        """Return the patients in the order of their ids."""
        lines = self.session.get(f"{self.url}/records/Patient", timeout=SECONDS).content.split(b"\n")
        return sorted(map(orjson.loads, filter(None, lines)), key=lambda one: str(one["id"]))

    def save(self, patient: dict[str, Any]) -> None:
        """Change a patient in eCW."""
        self.session.put(
            f"{self.url}/records/Patient/{patient['id']}", json=patient, timeout=SECONDS
        ).raise_for_status()


def dirty(clinic: Clinic) -> None:
    """Put wrong data into two charts: a birth date in the future, and a code that no crosswalk has."""
    complete = [one for one in clinic.patients() if one.get("birthDate") and one.get("gender") and _named(one)]
    for patient, wrong in zip(complete[-2:], ({"birthDate": "2091-05-17"}, {"gender": "x-not-asked"}), strict=False):
        clinic.save(patient | wrong)


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit in the CRM: its row, and what changed."""

    crm_id: str
    what: str


class Crm:
    """The CRM's side: reads and writes rows by plain SQL, as the CRM itself does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement, and return its rows."""
        with closing(sqlite3.connect(self.path, timeout=SECONDS)) as crm, crm:
            return crm.execute(statement, values).fetchall()

    def add(self, row: dict[str, Any]) -> str:
        """Add a patient; return its id."""
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        [(key,)] = self.sql(
            f"INSERT INTO patient ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608 - our own names
            *row.values(),
        )
        return str(key)

    def edit(self, crm_id: str, column: str, value: Any) -> None:
        """Change a patient."""
        self.sql(f"UPDATE patient SET {column} = ? WHERE id = ?", value, int(crm_id))  # noqa: S608 - our own names

    def pulled(self) -> list[dict[str, Any]]:
        """Return linked, active adults with name, birth date, phone and gender, in the order of their ids."""
        names = ("id", "ecw_id", "last_name", "first_name", "birth_date", "phone", "gender")
        rows = self.sql(
            f"SELECT {', '.join('p.' + name for name in names)} FROM patient p "  # noqa: S608 - our own names
            "JOIN ecw_link l ON l.resource = 'patient' AND l.ecw_id = p.ecw_id AND l.status IS NULL "
            "WHERE p.last_name IS NOT NULL AND length(p.first_name) > 4 AND p.phone IS NOT NULL "
            "AND p.gender IS NOT NULL AND p.active AND p.birth_date < ? ORDER BY p.id",
            BORN_BEFORE,
        )
        return [dict(zip(names, row, strict=True)) for row in rows]


def edit(crm: Crm, clinic: Clinic) -> list[Edit]:
    """Edit one patient for each result of a push (created, refused, updated, held, conflict), if there are enough."""
    return list(_edits(crm, clinic))


def _edits(crm: Crm, clinic: Clinic) -> Iterator[Edit]:
    yield Edit(crm.add(NEWCOMER), "a new patient")
    tomorrow = (date.today() + timedelta(days=1)).isoformat()  # noqa: DTZ011 - the reader's own day
    unborn = NEWCOMER | {"identifier": "CRM-1002", "last_name": "Merriweather", "birth_date": tomorrow}
    yield Edit(crm.add(unborn), "a new patient, born tomorrow")
    linked = iter(crm.pulled())
    if changed := next(linked, None):
        crm.edit(changed["id"], "phone", "5185550177")
        yield Edit(str(changed["id"]), "another phone number")
    clinic.save(WALK_IN)
    like = {"identifier": "CRM-1003", "last_name": "Lightfoot", "first_name": "Camilla", "birth_date": "1991-03-08"}
    yield Edit(crm.add(NEWCOMER | like | {"phone": None}), "a new patient, like one in eCW")
    if both := next(linked, None):
        [chart] = [one for one in clinic.patients() if one["id"] == both["ecw_id"]]
        born = date.fromisoformat(str(both["birth_date"]))
        crm.edit(both["id"], "birth_date", (born + timedelta(days=1)).isoformat())
        clinic.save(chart | {"birthDate": (born + timedelta(days=2)).isoformat()})
        yield Edit(str(both["id"]), "a birth date, which eCW changed too")


def table(crm: Crm, run_id: str, edits: list[Edit]) -> str:
    """Return a table of the edits and their results in the push: ids, statuses and reasons, no values."""
    lines = [("CRM id", "in the CRM", "the push", "why")]
    for one in edits:
        found = crm.sql("SELECT status, reason FROM ecw_push_item WHERE run_id = ? AND crm_id = ?", run_id, one.crm_id)
        answer = crm.sql(
            "SELECT message FROM ecw_journal WHERE run_id = ? AND crm_id = ? AND outcome = 'done' "
            "AND http_status = 200 ORDER BY at DESC LIMIT 1",
            *(run_id, one.crm_id),
        )
        did, reason = found[0] if found else ("not planned", "it does not differ")
        why = (str(reason) if reason else "").partition("; next:")[0]
        lines.append((one.crm_id, one.what, did, answer[0][0] if answer else why))
    widths = [max(len(line[at]) for line in lines) for at in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[3]]).rstrip()
        for line in lines
    )


def waiting(crm: Crm, practice: str) -> list[str]:
    """Return what waits for a person now, one line per item."""
    engine = engine_from_url(f"sqlite:///{crm.path}")
    try:
        with reading(engine) as connection:
            groups = rejects.groups(connection, practice)
            held = reviews.matches(connection, practice).items
            conflicts = reviews.conflicts(connection, practice).items
    finally:
        engine.dispose()
    lines = [
        f"{one.records} rejected  {one.resource}: {one.rule}{f' in {one.column}' if one.column else ''}"
        for one in groups
    ]
    lines += [f"1 held match  CRM id {one.crm_id}, may be {len(one.candidates)} of eCW" for one in held]
    lines += [f"1 conflict  {one.column} of CRM id {one.crm_id}" for one in conflicts]
    [(programs,)] = crm.sql("SELECT count(*) FROM encounter WHERE treatment_program = 'Unassigned'")
    if programs:
        lines.append(f"{programs} encounters in the program Unassigned: the crosswalk treatment_program lacks theirs")
    return lines


def _named(patient: dict[str, Any]) -> bool:
    return any(name.get("family") and name.get("given") for name in patient.get("name") or ())
