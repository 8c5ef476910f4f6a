"""Whose insurance a run asks for first: who changed, also while the insurance failed or another run loaded them."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm import links
from ecw.errors import EcwError
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
