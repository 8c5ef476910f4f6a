"""An invalid date in the CRM rejects only its patient, and its value is not quoted."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ecw.push.plan.watcher import Watch
from tests.push.names import person


@pytest.fixture
def bad(crm: Any) -> str:
    """Return an invalid date that the CRM's database can store."""
    return "02/28/1980" if crm.engine.dialect.name == "sqlite" else "infinity"


def test_a_patient_with_an_invalid_date_is_rejected_and_the_others_are_pushed(
    crm: Any, run: Any, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    crm.add(**person(0))
    wrong = crm.add(**person(1) | {"birth_date": bad})
    table = run()
    assert table["counts"] == {"created": 1, "rejected": 1}
    [shown] = table["shown"]
    assert (shown["crm_id"], shown["reason"].split(":")[0]) == (wrong, "birth_date")
    assert shown["next_step"]
    assert bad not in caplog.text + repr(table) + repr(crm.all("ecw_reject"))
    assert run()["not_sent"] == {"refused": 1}
    crm.edit(wrong, birth_date=date(1980, 2, 28))
    assert run()["counts"] == {"created": 1}


def test_the_watcher_counts_patients_in_spite_of_an_invalid_date(crm: Any, run: Any, bad: str) -> None:
    crm.add(**person(0))
    crm.add(**person(1) | {"birth_date": bad, "updated_at": bad})
    watch = Watch("ecw_test", "crm_test")
    assert watch.look() == 2
    watch.close()


def test_a_pull_updates_the_other_columns_of_a_row_with_an_invalid_date(
    crm: Any, run: Any, pull: Any, sandbox: Any, bad: str
) -> None:
    crm_id = crm.add(**person(0))
    run()
    crm.edit(crm_id, deceased_on=bad)
    patient = sandbox.record("Patient", crm.row(crm_id)["ecw_id"])
    sandbox.put(patient | {"address": [patient["address"][0] | {"city": "Hays"}]})
    pull("patient")
    assert crm.row(crm_id)["city"] == "Hays"
