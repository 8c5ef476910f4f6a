"""A practice beside a twin of itself in one CRM, with the same eCW ids, runs and people: whatever the one does, nothing
that is the twin's changes, in its rows or in any bookkeeping table.

The events are given, where tests/push/test_three_practices.py draws them: a conflict, a held match, a reject, a replay,
a push, requests for verification of benefits, alerts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, insert, select

from ecw.alerts.monitor import watch
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


def of_bookkeeping(practice: str) -> list[tuple[Table, Any]]:
    """Return the bookkeeping tables that are about practices, each with what makes a row the practice's."""
    found = [(table, table.c.practice == practice) for table in metadata.sorted_tables if "practice" in table.c]
    assert len(found) > 15
    return found


def of_crm(engine: Engine, practice: str) -> list[tuple[Table, Any]]:
    """Return the business tables, each with what makes a row the practice's."""
    tables = [Table(name, MetaData(), autoload_with=engine) for name in RESOURCES]
    return [(table, table.c.ecw_practice == practice) for table in tables]


def everything(engine: Engine, practice: str) -> dict[str, list[tuple[Any, ...]]]:
    tables = [*of_bookkeeping(practice), *of_crm(engine, practice)]
    with reading(engine) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table).where(its))), key=repr)
            for table, its in tables
        }


def make_twin(engine: Engine, practice: str) -> None:
    """Copy all that the CRM has of a practice: the twin's rows have keys of their own, and the same ids of eCW."""
    keys: dict[tuple[str, str], str] = {}
    tables = of_crm(engine, practice)
    with engine.begin() as connection:
        for table, its in tables:
            for row in connection.execute(select(table).where(its)).mappings().all():
                copy = {name: value for name, value in row.items() if name != "id"} | {"ecw_practice": TWIN}
                made = connection.execute(insert(table).values(copy).returning(table.c.id)).scalar_one()
                keys[table.name, str(row["id"])] = str(made)
        practices.claim(connection, TWIN, f"https://fhir.example/fhir/r4/{TWIN}")
        for table, its in of_bookkeeping(practice):
            for row in connection.execute(select(table).where(its)).mappings().all():
                if table.name == "ecw_practice":
                    continue
                copy = dict(row) | {"practice": TWIN}
                if copy.get("crm_id") and "resource" in copy:
                    copy["crm_id"] = keys.get((copy["resource"], copy["crm_id"]), copy["crm_id"])
                connection.execute(insert(table).values(copy))


@dataclass
class Beside:
    """The practice that acts."""

    pull: Pulling
    push: Any
    crm: Any
    sandbox: RunningSandbox

    def mine(self, table: str) -> int:
        """Return how many rows of a table are the practice's."""
        return len(everything(self.crm.engine, self.sandbox.practice)[table])

    def patient(self, but: int = 0) -> tuple[str, dict[str, Any]]:
        """Return a linked patient, less so many of the first ones: the CRM's id and the record."""
        links = [each for each in self.crm.all("ecw_link") if each["practice"] == self.sandbox.practice]
        linked = sorted((each["ecw_id"], each["crm_id"]) for each in links if each["resource"] == "patient")
        found = [(crm_id, self.sandbox.record("Patient", ecw_id)) for ecw_id, crm_id in linked]
        return [one for one in found if len(one[1].get("birthDate", "")) == len("1980-01-02")][but]

    def conflict(self) -> None:
        """Both sides correct a birth date, each to another day of the month."""
        crm_id, record = self.patient()
        born = record["birthDate"]
        here, there = [day for day in ("14", "15", "16") if day != born[8:]][:2]
        self.crm.edit(crm_id, birth_date=born[:8] + here)
        self.sandbox.put(record | {"birthDate": born[:8] + there})
        self.push()
        assert self.mine("ecw_conflict") == 1

    def held(self) -> None:
        """A row that is nearly a patient of eCW's is held by the push."""
        crm_id, _ = self.patient(1)
        row = self.crm.row(crm_id)
        near = {name: row[name] for name in ("last_name", "birth_date", "gender")} | {"identifier": "other"}
        near |= {"first_name": f"{row['first_name'][:-1]}x", "phone": None, "city": None}
        self.crm.add(**near, ecw_practice=self.sandbox.practice)
        self.push()
        states = {each["state"] for each in self.crm.all("ecw_intent") if each["practice"] == self.sandbox.practice}
        assert "held" in states

    def edit(self) -> None:
        """A user of the CRM changes a phone number, which is pushed."""
        crm_id, _ = self.patient(2)
        self.crm.edit(crm_id, phone="9135550147")
        assert self.push()["counts"].get("updated") == 1

    def reject(self) -> None:
        """The clinic enters a practitioner whom no suite lets in, and the record is replayed."""
        record = self.sandbox.records("Practitioner")[0]
        self.sandbox.put(record | {"name": [{"use": "usual", "given": ["Nobody"]}]})
        self.pull("practitioner")
        assert self.mine("ecw_reject") >= 1
        end = "2026-11-22T12:00:00+00:00"
        request = PullRequest("manual__replay", "manual", None, end, "ecw_test", "crm_test", self.pull.staging)
        run = replaying.begin(request)
        batch = replaying.collect(run, "practitioner")
        assert batch is not None
        pulling.load(pulling.check(pulling.map(batch)))
        replaying.summary(run)

    def benefits(self) -> None:
        """A policy changes, and a request is opened."""
        record = self.sandbox.records("Coverage")[0]
        self.sandbox.put(record | {"subscriberId": "CHANGED-1"})
        self.pull("insurance", full=True)
        vob.open_vob("", "ecw_test", "crm_test")
        opened = self.pull.rows("SELECT practice FROM vob_request")
        assert {row["practice"] for row in opened} == {self.sandbox.practice}

    def alerts(self) -> None:
        """What is wrong with the practice's runs is checked after each of them."""
        watch("crm_test", "ecw_test")


@pytest.fixture
def beside(pull: Pulling, run: Any, crm: Any, sandbox: RunningSandbox) -> Beside:
    """A practice that was pulled once, and its twin."""
    pull(*RESOURCES)
    make_twin(crm.engine, sandbox.practice)
    return Beside(pull, run, crm, sandbox)


EVENTS: list[Callable[[Beside], None]] = [
    *(Beside.conflict, Beside.held, Beside.edit, Beside.reject, Beside.benefits, Beside.alerts),
]


def test_nothing_of_the_twin_changes(beside: Beside) -> None:
    before = everything(beside.crm.engine, TWIN)
    assert before["patient"]
    assert before["ecw_link"]
    for event in EVENTS:
        event(beside)
        assert everything(beside.crm.engine, TWIN) == before, event.__name__
