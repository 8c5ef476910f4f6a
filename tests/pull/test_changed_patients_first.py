"""A run queries the insurance of changed patients first, also of those that an earlier run loaded without insurance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecw.crm.state import links
from ecw.errors import EcwError
from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

NEW, POLICY = "N" * 43, "C" * 43


def add_patient(sandbox: RunningSandbox) -> None:
    """Give the practice a patient with an insurance."""
    patient, policy = sandbox.records("Patient")[0], sandbox.records("Coverage")[0]
    sandbox.put({**patient, "id": NEW})
    sandbox.put({**policy, "id": POLICY, "beneficiary": {"reference": f"Patient/{NEW}"}})


def insurance_ids(pull: Pulling) -> set[Any]:
    return {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM insurance")}


def changed_patients(pull: Pulling) -> list[str]:
    return links.changed_since(pull.crm, "FFSAND", "patient", "insurance")


def test_insurance_that_failed_is_fetched_by_the_next_run(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("patient", "insurance")
    assert changed_patients(pull) == []
    add_patient(sandbox)
    run = pull.begin()
    pull.resource(run, "patient")
    sandbox.fault("gone", resource="Coverage")
    with pytest.raises(EcwError):
        pull.resource(run, "insurance")
    sandbox.clear_faults()
    assert changed_patients(pull) == [NEW]

    pull("patient", "insurance")

    assert POLICY in insurance_ids(pull)
    assert changed_patients(pull) == [], "the patients of this turn do not count as changed"


def test_the_insurance_of_a_patient_that_another_run_loaded_is_fetched_by_the_next_run(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("patient", "insurance")
    add_patient(sandbox)
    pull("patient")

    pull("patient", "insurance")

    assert POLICY in insurance_ids(pull)


def test_an_edit_of_the_mapping_that_changes_no_patient_causes_no_extra_queries(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    pull("patient", "insurance")
    file = mappings / "patient.yaml"
    file.write_text(file.read_text().replace("time_zone: America/New_York", "time_zone: America/Chicago", 1))
    before = sandbox.served("search", "Coverage")

    pull("patient", "insurance")

    assert 0 < sandbox.served("search", "Coverage") - before < 30, "about one in twelve of 120"


@on_sqlite
def test_a_dry_run_fetches_the_insurance_of_a_patient_that_it_would_load(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("patient", "insurance")
    add_patient(sandbox)
    run = pull.begin("manual", options={"resources": ["patient", "insurance"], "dry_run": True})

    inserted = [pull.resource(run, name)["inserted"] for name in ("patient", "insurance")]

    assert inserted[0] == 1
    assert POLICY in {record["id"] for record in batch_file.read(pull.batches["insurance"][0]["path"])}
