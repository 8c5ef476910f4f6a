"""Whose insurance a run asks for first: who changed, also while the insurance failed or another run loaded them."""

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


def a_newcomer(sandbox: RunningSandbox) -> None:
    """Give the practice a patient with an insurance."""
    patient, policy = sandbox.records("Patient")[0], sandbox.records("Coverage")[0]
    sandbox.put({**patient, "id": NEW})
    sandbox.put({**policy, "id": POLICY, "beneficiary": {"reference": f"Patient/{NEW}"}})


def insured(pull: Pulling) -> set[Any]:
    return {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM insurance")}


def missed(pull: Pulling) -> list[str]:
    return links.changed_since(pull.crm, "FFSAND", "patient", "insurance")


def test_insurance_that_failed_comes_with_the_next_run(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("patient", "insurance")
    assert missed(pull) == []
    a_newcomer(sandbox)
    run = pull.begin()
    pull.resource(run, "patient")
    sandbox.fault("gone", resource="Coverage")
    with pytest.raises(EcwError):
        pull.resource(run, "insurance")
    sandbox.clear_faults()
    assert missed(pull) == [NEW]

    pull("patient", "insurance")

    assert POLICY in insured(pull)
    assert missed(pull) == [], "the others' turn is not everybody's"


def test_a_patient_whom_another_run_loaded_has_insurance_with_the_next_one(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("patient", "insurance")
    a_newcomer(sandbox)
    pull("patient")

    pull("patient", "insurance")

    assert POLICY in insured(pull)


def test_an_edit_of_the_mapping_that_changes_no_patient_asks_nobody_before_their_turn(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path
) -> None:
    pull("patient", "insurance")
    file = mappings / "patient.yaml"
    file.write_text(file.read_text().replace("time_zone: America/New_York", "time_zone: America/Chicago", 1))
    before = sandbox.served("search", "Coverage")

    pull("patient", "insurance")

    assert 0 < sandbox.served("search", "Coverage") - before < 30, "about one in twelve of 120"


@on_sqlite
def test_a_dry_run_asks_for_the_insurance_of_whom_it_would_load(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull("patient", "insurance")
    a_newcomer(sandbox)
    run = pull.begin("manual", options={"resources": ["patient", "insurance"], "dry_run": True})

    told = [pull.resource(run, name)["inserted"] for name in ("patient", "insurance")]

    assert told[0] == 1
    assert POLICY in {record["id"] for record in batch_file.read(pull.batches["insurance"][0]["path"])}
