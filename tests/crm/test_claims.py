"""A patient whose create got no answer is met by a pull: one row in the CRM, one patient in eCW."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, insert, select, text

from ecw.crm import agreed as agreements
from ecw.crm.business import Mapped
from ecw.crm.engine import reading
from ecw.crm.tables import ecw_intent, ecw_journal, ecw_link
from ecw.words import Numbers
from tests.fixtures.loads import a_batch, a_row, a_run, load_rows

COLUMNS = ("ecw_id", "identifier", "last_name", "first_name", "birth_date", "phone", "mr_number")
PATIENT = Mapped("patient", "ecw_id", COLUMNS, "m1")
SENT = {
    "identifier": "ACC-1",
    "last_name": "Kowalczyk",
    "first_name": "Ewa",
    "birth_date": "1980-01-02",
    "phone": "9135552003",
}
SHOWN = SENT | {"identifier": "new.id", "last_name": "KOWALCZYK", "mr_number": "77"}  # as eCW shows it


@pytest.fixture
def crm_id(crm_engine: Engine) -> str:
    """A patient of the CRM that was sent, and no answer came."""
    with crm_engine.begin() as connection:
        columns, marks = ", ".join(SENT), ", ".join(f":{name}" for name in SENT)
        born = "CAST(:birth_date AS DATE)" if connection.dialect.name == "postgresql" else ":birth_date"
        statement = f"INSERT INTO patient ({columns}) VALUES ({marks.replace(':birth_date', born)}) RETURNING id"  # noqa: S608
        key = str(connection.execute(text(statement), SENT).scalar_one())
        values = {"practice": "P1", "resource": "patient", "crm_id": key, "intent": "k", "operation": "create"}
        values |= {"state": "unknown", "sent": orjson.dumps(SENT).decode(), "attempts": 1}
        connection.execute(insert(ecw_intent).values(values | {"decided_at": datetime.now(UTC), "run_id": "push"}))
    return key


def load(engine: Engine, *rows: dict[str, Any]) -> Numbers:
    ids = ("new.id", "b")[: len(rows)]
    lines = [a_row(ecw_id) | {"row": {"ecw_id": ecw_id} | row} for ecw_id, row in zip(ids, rows, strict=True)]
    return load_rows(engine, a_run("r1"), a_batch(lines, [], resource="patient"), PATIENT, lines, [])


def state(engine: Engine) -> tuple[str, str | None, int]:
    with reading(engine) as connection:
        [(said, ecw_id)] = connection.execute(select(ecw_intent.c.state, ecw_intent.c.ecw_id)).all()
        return said, ecw_id, connection.execute(text("SELECT count(*) FROM patient")).scalar_one()


def test_what_was_sent_is_given_to_the_row_that_was_sent(crm_engine: Engine, crm_id: str) -> None:
    assert load(crm_engine, SHOWN) == Numbers(fetched=1, updated=1)
    assert state(crm_engine) == ("done", "new.id", 1)
    with reading(crm_engine) as connection:
        row = dict(connection.execute(text("SELECT * FROM patient")).mappings().one())
        [link] = connection.execute(select(ecw_link)).mappings()
        agreed = agreements.read(connection, "P1", "patient", "new.id")
        told = connection.execute(select(ecw_journal.c.direction, ecw_journal.c.operation)).all()
    assert (link["crm_id"], row["ecw_id"], row["mr_number"]) == (crm_id, "new.id", "77")
    assert (row["last_name"], row["identifier"]) == ("Kowalczyk", "ACC-1"), "eCW's spelling is learned, not taken"
    assert (agreed.emr["last_name"], agreed.emr["identifier"], agreed.sent) == ("KOWALCZYK", "new.id", {})
    assert sorted(map(tuple, told)) == [("pull", "update"), ("push", "settle")]


@pytest.mark.parametrize(
    "shown",
    [
        SHOWN | {"first_name": "Eva"},  # a namesake perhaps, or an edit
        SHOWN | {"birth_date": "1980-01-03"},
        {"birth_date": "1980-01-02", "last_name": "Kowalczyk"},  # too little to say
    ],
)
def test_what_shows_something_else_is_somebody_else(crm_engine: Engine, crm_id: str, shown: dict[str, Any]) -> None:
    assert load(crm_engine, shown) == Numbers(fetched=1, inserted=1)
    assert state(crm_engine) == ("unknown", None, 2)


def test_of_two_that_show_it_none_is_chosen(crm_engine: Engine, crm_id: str) -> None:
    assert load(crm_engine, SHOWN, SHOWN | {"identifier": "b"}).inserted == 2
    assert state(crm_engine) == ("unknown", None, 3)
