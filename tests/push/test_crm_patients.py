"""How a push reads the CRM's patients."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from ecw.crm.db.engine import reading
from tests.fixtures.crm import on_sqlite

pytestmark = pytest.mark.both_databases


@on_sqlite
def test_the_query_of_the_patients_uses_the_index_of_the_links(crm: Any, pushing: Any) -> None:
    patients = pushing().patients
    statements: list[tuple[str, Any]] = []
    event.listen(crm.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2:4]))
    with reading(crm.engine) as connection:
        list(patients.all(connection))
        (statement, values) = next(each for each in statements if "ecw_merge_base" in each[0])
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert [step for step in plan if step.startswith("SEARCH ecw_link USING INDEX ecw_link_crm_id (crm_id=?")], plan
