"""A practice and a twin of it in one CRM, with the same eCW ids, runs and people: no action of the practice changes a
row or a bookkeeping entry of the twin.

The events are fixed (tests/push/test_three_practices.py has random ones): a conflict, a held match, a reject, a replay,
a push, VOB requests, alerts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, insert, select

from ecw.alerts.monitor import monitor
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.crm.state import practices
from ecw.models import PullRequest
from ecw.pull import steps as pulling
from ecw.pull.replay import steps as replaying
from ecw.resources import RESOURCES
from ecw.vob import steps as vob
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = on_sqlite
TWIN = "TWIN01"


def bookkeeping_tables(practice: str) -> list[tuple[Table, Any]]:
    """Return the bookkeeping tables with a practice, each with the condition for the practice's rows."""
    tables = [(table, table.c.practice == practice) for table in metadata.sorted_tables if "practice" in table.c]
    assert len(tables) > 15
    return tables


def business_tables(engine: Engine, practice: str) -> list[tuple[Table, Any]]:
    """Return the business tables, each with the condition for the practice's rows."""
    tables = [Table(name, MetaData(), autoload_with=engine) for name in RESOURCES]
    return [(table, table.c.ecw_practice == practice) for table in tables]


def all_rows(engine: Engine, practice: str) -> dict[str, list[tuple[Any, ...]]]:
    tables = [*bookkeeping_tables(practice), *business_tables(engine, practice)]
    with reading(engine) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table).where(condition))), key=repr)
            for table, condition in tables
        }


def make_twin(engine: Engine, practice: str) -> None:
    """Copy all rows of a practice: the copies have new keys, the same eCW ids and the twin's code."""
    keys: dict[tuple[str, str], str] = {}
    tables = business_tables(engine, practice)
    with engine.begin() as connection:
        for table, condition in tables:
            for row in connection.execute(select(table).where(condition)).mappings().all():
                copy = {name: value for name, value in row.items() if name != "id"} | {"ecw_practice": TWIN}
                made = connection.execute(insert(table).values(copy).returning(table.c.id)).scalar_one()
                keys[table.name, str(row["id"])] = str(made)
        practices.claim(connection, TWIN, f"https://fhir.example/fhir/r4/{TWIN}")
        for table, condition in bookkeeping_tables(practice):
            for row in connection.execute(select(table).where(condition)).mappings().all():
                if table.name == "ecw_practice":
                    continue
                copy = dict(row) | {"practice": TWIN}
                if copy.get("crm_id") and "resource" in copy:
                    copy["crm_id"] = keys.get((copy["resource"], copy["crm_id"]), copy["crm_id"])
                connection.execute(insert(table).values(copy))


@dataclass
class Beside:
    """The practice that acts, and its actions."""

    pull: Pulling
    push: Any
    crm: Any
    sandbox: RunningSandbox

    def row_count(self, table: str) -> int:
        """Return the number of the practice's rows in a table."""
        return len(all_rows(self.crm.engine, self.sandbox.practice)[table])

    def patient(self, number: int = 0) -> tuple[str, dict[str, Any]]:
        """Return the CRM id and the record of a linked patient with a full birth date, by its number."""
        links = [each for each in self.crm.all("ecw_link") if each["practice"] == self.sandbox.practice]
        linked = sorted((each["ecw_id"], each["crm_id"]) for each in links if each["resource"] == "patient")
        found = [(crm_id, self.sandbox.record("Patient", ecw_id)) for ecw_id, crm_id in linked]
        return [one for one in found if len(one[1].get("birthDate", "")) == len("1980-01-02")][number]

    def conflict(self) -> None:
        """Edit a birth date on both sides to different days."""
        crm_id, record = self.patient()
        born = record["birthDate"]
        crm_day, ecw_day = [day for day in ("14", "15", "16") if day != born[8:]][:2]
        self.crm.edit(crm_id, birth_date=born[:8] + crm_day)
        self.sandbox.put(record | {"birthDate": born[:8] + ecw_day})
        self.push()
        assert self.row_count("ecw_conflict") == 1

    def held(self) -> None:
        """Add a near match of a patient of eCW, which the push holds."""
        crm_id, _ = self.patient(1)
        row = self.crm.row(crm_id)
        near = {name: row[name] for name in ("last_name", "birth_date", "gender")} | {"identifier": "other"}
        near |= {"first_name": f"{row['first_name'][:-1]}x", "phone": None, "city": None}
        self.crm.add(**near, ecw_practice=self.sandbox.practice)
        self.push()
        states = {each["state"] for each in self.crm.all("ecw_intent") if each["practice"] == self.sandbox.practice}
        assert "held" in states

    def edit(self) -> None:
        """Edit a phone number in the CRM, which is pushed."""
        crm_id, _ = self.patient(2)
        self.crm.edit(crm_id, phone="9135550147")
        assert self.push()["counts"].get("updated") == 1

    def reject(self) -> None:
        """Put a practitioner that the suite rejects into eCW, pull and replay it."""
        record = self.sandbox.records("Practitioner")[0]
        self.sandbox.put(record | {"name": [{"use": "usual", "given": ["Nobody"]}]})
        self.pull("practitioner")
        assert self.row_count("ecw_reject") >= 1
        end = "2026-11-22T12:00:00+00:00"
        request = PullRequest("manual__replay", "manual", None, end, "ecw_test", "crm_test", self.pull.staging)
        run = replaying.begin(request)
        batch = replaying.collect(run, "practitioner")
        assert batch is not None
        pulling.load(pulling.check(pulling.map(batch)))
        replaying.summary(run)

    def benefits(self) -> None:
        """Change a policy in eCW, so that a VOB request is opened."""
        record = self.sandbox.records("Coverage")[0]
        self.sandbox.put(record | {"subscriberId": "CHANGED-1"})
        self.pull("insurance", full=True)
        vob.open_vob("", "ecw_test", "crm_test")
        opened = self.pull.rows("SELECT practice FROM vob_request")
        assert {row["practice"] for row in opened} == {self.sandbox.practice}

    def alerts(self) -> None:
        """Check the practice's alerts."""
        monitor("crm_test", "ecw_test")


@pytest.fixture
def beside(pull: Pulling, run: Any, crm: Any, sandbox: RunningSandbox) -> Beside:
    """Pull a practice once, and add its twin."""
    pull(*RESOURCES)
    make_twin(crm.engine, sandbox.practice)
    return Beside(pull, run, crm, sandbox)


EVENTS: list[Callable[[Beside], None]] = [
    *(Beside.conflict, Beside.held, Beside.edit, Beside.reject, Beside.benefits, Beside.alerts),
]


def test_no_action_of_a_practice_changes_a_row_of_its_twin(beside: Beside) -> None:
    before = all_rows(beside.crm.engine, TWIN)
    assert before["patient"]
    assert before["ecw_link"]
    for event in EVENTS:
        event(beside)
        assert all_rows(beside.crm.engine, TWIN) == before, event.__name__
