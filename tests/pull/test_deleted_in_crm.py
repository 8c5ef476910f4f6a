"""Rows that were deleted in the CRM."""

from __future__ import annotations

from sqlalchemy import text

from tests.fixtures.pulling import Pulling


def test_the_next_run_inserts_a_patient_that_was_deleted_in_the_crm_again(pull: Pulling) -> None:
    pull("practitioner", "location", "patient", "encounter")
    query = "SELECT e.ecw_id, p.id, p.ecw_id AS patient FROM encounter e JOIN patient p ON p.id = e.patient_id"
    before = pull.rows(f"{query} ORDER BY e.ecw_id")
    with pull.crm.begin() as connection:
        connection.execute(text("DELETE FROM patient WHERE id = :id"), {"id": before[0]["id"]})
    assert len(pull.rows(query)) < len(before)
    numbers = pull("patient", "encounter")
    assert (numbers["patient"]["inserted"], numbers["patient"]["updated"], numbers["encounter"]["updated"]) == (1, 0, 0)
    assert pull.rows(f"{query} ORDER BY e.ecw_id") == before
