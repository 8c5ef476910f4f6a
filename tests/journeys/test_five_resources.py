"""The same code loads all five resources from eCW and from a plain FHIR server."""

from __future__ import annotations

import pytest

from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = pytest.mark.large_practice

TYPES = {
    "practitioner": "Practitioner",
    "location": "Location",
    "patient": "Patient",
    "insurance": "Coverage",
    "encounter": "Encounter",
}
EVERY_DAY = {"initial_sync_back_days": 2000, "look_back_days": 2000, "look_ahead_days": 2000}


def pulled(pull: Pulling) -> dict[str, dict[str, int]]:
    run = pull.begin(options=EVERY_DAY)
    return {name: pull.resource(run, name) for name in TYPES}


@pytest.mark.parametrize(
    ("crm_url", "profile"),
    [
        ("sqlite", "ecw"),
        ("postgresql", "fhir"),
        pytest.param("sqlite", "fhir", marks=pytest.mark.journey),
        pytest.param("postgresql", "ecw", marks=pytest.mark.journey),
    ],
    indirect=["crm_url"],
)
def test_all_records_are_loaded_and_one_change_is_one_update(
    pull: Pulling, sandbox: RunningSandbox, profile: str
) -> None:
    sandbox.set(profile=profile)
    held = {name: {record["id"] for record in sandbox.records(fhir_type)} for name, fhir_type in TYPES.items()}
    assert len(held["patient"]) == 120

    first = pulled(pull)

    assert {name: found["inserted"] + found["rejected"] for name, found in first.items()} == {
        name: len(ids) for name, ids in held.items()
    }
    assert sum(found["rejected"] for found in first.values()) == 0
    for name, ids in held.items():
        query = f"SELECT ecw_id FROM {name}"  # noqa: S608 - a name from above
        assert {row["ecw_id"] for row in pull.rows(query)} == ids
    for name, reference in (("insurance", "patient_id"), ("encounter", "patient_id"), ("encounter", "practitioner_id")):
        query = f"SELECT ecw_id FROM {name} WHERE {reference} IS NULL"  # noqa: S608 - names from above
        assert pull.rows(query) == [], f"{name}.{reference} must refer to a row of the CRM"

    somebody = sandbox.records("Patient")[5]
    changed = {**somebody["meta"], "lastUpdated": "2026-11-21T20:30:00-05:00"}  # within the second run's window
    sandbox.put({**somebody, "meta": changed, "maritalStatus": {"text": "changed"}}, stamp=False)
    second = pulled(pull)

    assert {name: found["updated"] for name, found in second.items()} == {**dict.fromkeys(TYPES, 0), "patient": 1}
    assert sum(found["inserted"] + found["rejected"] for found in second.values()) == 0
