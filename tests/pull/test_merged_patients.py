"""After eCW merges two patients, the CRM moves the encounters and the insurance of the one to the other, too."""

from __future__ import annotations

from typing import Any

import pytest


def merge_in_ecw(sandbox: Any, one: str, other: str, *, linked: bool = True) -> None:
    """Merge as eCW does: deactivate (`linked`) or delete the one; its records move to the other, same version."""
    if linked:
        link = [{"other": {"reference": f"Patient/{other}"}, "type": "replaced-by"}]
        sandbox.put(sandbox.record("Patient", one) | {"active": False, "link": link})
    else:
        sandbox.delete("Patient", one)
    for kind, element in (("Encounter", "subject"), ("Coverage", "beneficiary")):
        for record in sandbox.records(kind):
            if record[element]["reference"].endswith(f"Patient/{one}"):
                sandbox.put(record | {element: {"reference": f"Patient/{other}"}}, stamp=False)


def of_patient(pull: Any, table: str, ecw_id: str) -> set[str]:
    rows = pull.rows(f"SELECT ecw_id FROM {table} WHERE patient = 'Patient/{ecw_id}'")  # noqa: S608
    return {row["ecw_id"] for row in rows}


@pytest.mark.parametrize("linked", [True, False])
def test_the_next_run_moves_the_records_of_a_merged_patient_to_the_other_patient(
    sandbox: Any, pull: Any, linked: bool
) -> None:
    names = ("practitioner", "patient", "insurance", "encounter")
    pull(*names)
    one, other = (
        row["ecw_id"]
        for row in pull.rows(
            "SELECT ecw_id FROM patient WHERE 'Patient/' || ecw_id IN (SELECT patient FROM insurance) "
            "AND 'Patient/' || ecw_id IN (SELECT patient FROM encounter) ORDER BY id LIMIT 2"
        )
    )
    moved = {table: of_patient(pull, table, one) for table in ("insurance", "encounter")}
    assert all(moved.values())
    before = {table: of_patient(pull, table, other) for table in moved}
    merge_in_ecw(sandbox, one, other, linked=linked)
    pull(*names)
    for table, ids in moved.items():
        assert of_patient(pull, table, one) == set()
        assert of_patient(pull, table, other) >= before[table] | ids
    [row] = pull.rows(f"SELECT id FROM patient WHERE ecw_id = '{other}'")  # noqa: S608
    of_other = pull.rows(f"SELECT patient_id FROM encounter WHERE patient = 'Patient/{other}'")  # noqa: S608
    assert {each["patient_id"] for each in of_other} == {row["id"]}
