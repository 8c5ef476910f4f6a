"""The CRM's patients as a push reads them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from ecw.crm.db.engine import reading
from tests.fixtures.crm import on_sqlite

pytestmark = pytest.mark.both_databases


@on_sqlite
def test_each_patient_s_link_is_looked_up_and_not_sought_among_all(crm: Any, pushing: Any) -> None:
    patients = pushing().patients
    asked: list[tuple[str, Any]] = []
    event.listen(crm.engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    with reading(crm.engine) as connection:
        list(patients.all(connection))
        (statement, values) = next(each for each in asked if "ecw_merge_base" in each[0])
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert [step for step in plan if step.startswith("SEARCH ecw_link USING INDEX ecw_link_crm_id (crm_id=?")], plan
