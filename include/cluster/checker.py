"""Compare the CRM with the practice independently: plain SQL against the records that the sandbox holds.

This module uses nothing of the package, neither mappings nor tables, so it cannot repeat the package's mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from sqlalchemy import Connection, Engine, text

# FHIR type -> resource and table
TABLES = {
    "Practitioner": "practitioner",
    "Location": "location",
    "Patient": "patient",
    "Coverage": "insurance",
    "Encounter": "encounter",
}


@dataclass
class Compared:
    """The result of a comparison: how many records of each table, and the differences, with ids but without values."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"{counted}: {'all agree' if not self.problems else f'{len(self.problems)} PROBLEMS'}"


def held(admin: str, kind: str) -> dict[str, dict[str, Any]]:
    """Return the records of a FHIR type that the sandbox holds, by id."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{admin}/records/{kind}", timeout=120)
        answer.raise_for_status()
        records = [requests.models.complexjson.loads(line) for line in answer.text.splitlines() if line]
    return {record["id"]: record for record in records}


def compare(admin: str, crm: Engine, practice: str | None = None, now: datetime | None = None) -> Compared:
    """Compare every record of a practice with the CRM's rows, links, rejects and counts.

    `practice` is its code if it shares the CRM with others; `now` is the time of the pull (default: the present).
    """
    found = Compared()
    now = now or datetime.now(UTC)
    parameters = {"practice": practice} if practice else {}
    of_row, of_bookkeeping = ("ecw_practice = :practice", "practice = :practice") if practice else ("true", "true")
    with crm.connect() as connection:
        for kind, table in TABLES.items():
            records = held(admin, kind)
            query = text(f'SELECT * FROM "{table}" WHERE {of_row}')  # noqa: S608
            rows = [dict(row) for row in connection.execute(query, parameters).mappings()]
            links = _ids(connection, f"ecw_link WHERE {of_bookkeeping}", table, parameters)
            rejected = _ids(connection, f"ecw_reject WHERE state = 'open' AND {of_bookkeeping}", table, parameters)
            expected = {one for one, record in records.items() if kind != "Encounter" or is_near(record, now)}
            found.counts[table] = len(expected)
            _missing(found, table, expected - links - rejected)
            _same_ids(found, table, set(records), links, [row["ecw_id"] for row in rows])
            if kind == "Patient":
                _same_people(found, records, {row["ecw_id"]: row for row in rows})
        uneven = "fetched <> rejected + inserted + updated + unchanged"
        query = text(f"SELECT count(*) FROM ecw_run WHERE {uneven} AND {of_bookkeeping}")  # noqa: S608
        if wrong := connection.execute(query, parameters).scalar_one():
            found.problems.append(f"{wrong} rows of ecw_run do not add up")
    return found


def is_near(encounter: dict[str, Any], now: datetime) -> bool:
    """Return True if a pull must have loaded the encounter: 730 days back, 180 ahead, less a day at both ends."""
    start = datetime.fromisoformat(encounter["period"]["start"])
    return timedelta(days=-729) < start - now < timedelta(days=179)


def _ids(connection: Connection, where: str, resource: str, parameters: dict[str, str]) -> set[str]:
    query = text(f"SELECT ecw_id FROM {where} AND resource = :resource")  # noqa: S608 - written above
    return set(connection.execute(query, parameters | {"resource": resource}).scalars())


def _missing(found: Compared, table: str, ids: set[str]) -> None:
    if ids:
        found.problems.append(f"{table}: {len(ids)} neither in the CRM nor rejected: {', '.join(sorted(ids)[:5])}")


def _same_ids(found: Compared, table: str, held: set[str], linked: set[str], rows: list[str]) -> None:
    if len(rows) != len(set(rows)):
        found.problems.append(f"{table}: {len(rows) - len(set(rows))} records are loaded twice")
    for what, ids in {
        "linked, but not in eCW": linked - held,
        "linked, but without a row": linked - set(rows),
        "rows without a link": set(rows) - linked,
    }.items():
        if ids:
            found.problems.append(f"{table}: {len(ids)} {what}: {', '.join(sorted(ids)[:5])}")


def _same_people(found: Compared, records: dict[str, dict[str, Any]], rows: dict[str, dict[str, Any]]) -> None:
    for ecw_id, row in rows.items():
        record = records.get(ecw_id, {})
        name = _usual(record.get("name", []))
        for column, value in {"last_name": name.get("family"), "birth_date": record.get("birthDate")}.items():
            if value and len(str(value)) != 4 and " ".join(str(value).split()) != str(row[column]):
                found.problems.append(f"patient {ecw_id}: {column} differs")


def _usual(names: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the usual or official name among those that have not ended; otherwise the first."""
    now = [name for name in names if "end" not in name.get("period", {})] or names
    for use in ("usual", "official"):
        for name in now:
            if name.get("use") == use:
                return name
    return now[0] if now else {}
