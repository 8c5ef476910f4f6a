"""References between records become foreign keys, now or once the referenced row is loaded."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from ecw.crm.db.business_table import Mapped
from ecw.crm.state import links
from ecw.resources import RESOURCES, Resource
from tests.fixtures.loads import a_batch, a_row, a_run, load_rows

ENCOUNTER = Mapped(
    "encounter",
    "ecw_id",
    ("ecw_id", "patient", "practitioner", "status"),
    "m1",
    references=frozenset({"patient", "practitioner"}),
)
PRACTITIONER = Mapped("practitioner", "ecw_id", ("ecw_id", "last_name"), "m1")


@pytest.fixture(autouse=True)
def _patients_are_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RESOURCES, "patient", Resource("patient", "Patient", ("name_sweep",)))


def a_staged_row(ecw_id: str, hour: int = 10, **row: Any) -> dict[str, Any]:
    return a_row(ecw_id, hour=hour) | {"row": {"ecw_id": ecw_id} | row}


def load(engine: Engine, mapped: Mapped, *rows: dict[str, Any], run_id: str, practice: str = "P1") -> None:
    batch = a_batch(list(rows), [], resource=mapped.table)
    load_rows(engine, a_run(run_id, practice=practice), batch, mapped, rows, [])


def practitioners_by_encounter(engine: Engine) -> dict[str, str | None]:
    """Return the last name of the practitioner that each encounter's foreign key refers to, by eCW id."""
    query = "SELECT e.ecw_id, p.last_name FROM encounter e LEFT JOIN practitioner p ON p.id = e.practitioner_id"
    with engine.connect() as connection:
        return dict(connection.execute(text(query)).all())  # type: ignore[arg-type]  # rows of two


def visit(ecw_id: str, practitioner: str | None, hour: int = 10) -> dict[str, Any]:
    return a_staged_row(ecw_id, hour, patient="Patient/x", practitioner=practitioner, status="planned")


def test_a_reference_sets_the_foreign_key(crm_engine: Engine) -> None:
    load(
        crm_engine,
        PRACTITIONER,
        a_staged_row("a.1", last_name="Reyes"),
        a_staged_row("b", last_name="Okoye"),
        run_id="r1",
    )
    load(crm_engine, ENCOUNTER, visit("v1", "Practitioner/a.1"), visit("v2", None), run_id="r1")
    assert practitioners_by_encounter(crm_engine) == {"v1": "Reyes", "v2": None}


def test_a_reference_loaded_before_its_row_gets_its_foreign_key_later(crm_engine: Engine) -> None:
    load(crm_engine, ENCOUNTER, visit("v1", "Practitioner/a"), run_id="r1")
    assert practitioners_by_encounter(crm_engine) == {"v1": None}
    load(crm_engine, PRACTITIONER, a_staged_row("a", last_name="Reyes"), run_id="r2")
    load(crm_engine, ENCOUNTER, run_id="r2")
    assert practitioners_by_encounter(crm_engine) == {"v1": "Reyes"}


def test_a_reference_that_changes_sets_another_foreign_key_or_null(crm_engine: Engine) -> None:
    load(
        crm_engine,
        PRACTITIONER,
        a_staged_row("a", last_name="Reyes"),
        a_staged_row("b", last_name="Okoye"),
        run_id="r1",
    )
    load(crm_engine, ENCOUNTER, *(visit(f"v{n}", "Practitioner/a") for n in range(3)), run_id="r1")
    changed = (visit("v0", "Practitioner/b", 11), visit("v1", "Practitioner/gone", 11), visit("v2", None, 11))
    load(crm_engine, ENCOUNTER, *changed, run_id="r2")
    assert practitioners_by_encounter(crm_engine) == {"v0": "Okoye", "v1": None, "v2": None}


def test_a_row_that_the_crm_deleted_is_inserted_again_and_references_point_to_it_again(
    crm_engine: Engine,
) -> None:
    load(
        crm_engine,
        PRACTITIONER,
        a_staged_row("a", last_name="Reyes"),
        a_staged_row("b", last_name="Okoye"),
        run_id="r1",
    )
    load(crm_engine, ENCOUNTER, visit("v1", "Practitioner/a"), visit("v2", "Practitioner/b"), run_id="r1")
    with crm_engine.begin() as connection:
        connection.execute(text("DELETE FROM practitioner WHERE ecw_id = 'a'"))
    known = links.known(crm_engine, "P1", "practitioner", table="practitioner")
    assert not known.unchanged("a", a_staged_row("a", last_name="Reyes")["hash"], "m1")
    assert known.unchanged("b", a_staged_row("b", last_name="Okoye")["hash"], "m1")
    load(
        crm_engine, PRACTITIONER, a_staged_row("c", last_name="New"), a_staged_row("a", last_name="Reyes"), run_id="r2"
    )
    assert practitioners_by_encounter(crm_engine) == {"v1": "Reyes", "v2": "Okoye"}
    assert len(links.known(crm_engine, "P1", "practitioner", run_id="r2")) == 1, "r2 inserted it"


def test_a_reference_does_not_resolve_to_another_practice_or_another_type(crm_engine: Engine) -> None:
    load(crm_engine, PRACTITIONER, a_staged_row("a", last_name="Theirs"), run_id="r1", practice="P2")
    load(crm_engine, PRACTITIONER, a_staged_row("b", last_name="Ours"), run_id="r1")
    load(crm_engine, ENCOUNTER, visit("v1", "Practitioner/a"), visit("v2", "Location/b"), run_id="r1")
    assert practitioners_by_encounter(crm_engine) == {"v1": None, "v2": None}
