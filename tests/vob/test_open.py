"""Changes of a load open VOB requests: one for each patient and load, once."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from ecw.errors import ConfigurationError, CrmSchemaError
from ecw.mapping.definition.files import load_mapping
from ecw.vob.relevant_fields import NOT_OF_INSURANCE, PATIENT
from tests.fixtures.loads import a_reject
from tests.vob.conftest import Vob

pytestmark = pytest.mark.both_databases


def shown(vob: Vob) -> list[tuple[Any, ...]]:
    names = ("patient_ecw_id", "resource", "record_ecw_ids", "change")
    return [tuple(row[name] for name in names) for row in vob.rows()]


def test_the_relevant_columns_are_columns_of_the_mapping() -> None:
    assert PATIENT
    assert {column.name for column in load_mapping("patient").pulled} >= PATIENT
    assert {column.name for column in load_mapping("insurance").pulled} >= NOT_OF_INSURANCE


def test_the_initial_sync_opens_no_request_and_logs_it(vob: Vob, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        vob.initial_sync()
    assert "insurance: 2 changes of an initial sync open no request." in caplog.text
    assert vob.rows() == []


def test_a_row_deferred_in_the_initial_sync_opens_no_request_when_it_is_loaded_later(vob: Vob) -> None:
    vob.patients(1, 2)
    vob.policies(("i1", 1), ("i9", 9))  # patient 9 is not loaded yet: the policy is deferred
    assert vob.open() == {"opened": 0, "include_initial_sync": 1, "too_many": 0}
    vob.policies(("i8", 8))  # this policy is not part of the initial sync
    vob.patients(8, 9)
    vob.policies(("i2", 2))
    assert vob.open() == {"opened": 2, "include_initial_sync": 1, "too_many": 0}
    assert sorted(shown(vob)) == [("p2", "insurance", "i2", "new"), ("p8", "insurance", "i8", "new")]

    vob.policies(("i9", 9), member_id="2")
    assert vob.open()["opened"] == 1, "a change of the policy opens a request"


def test_with_include_initial_sync_the_initial_sync_opens_requests(vob: Vob, settings: Any) -> None:
    settings(include_initial_sync=True)
    vob.patients(1, 2)
    vob.policies(("i1", 1), ("i2", 2))
    assert vob.open() == {"opened": 2, "include_initial_sync": 0, "too_many": 0}
    assert sorted(shown(vob)) == [("p1", "insurance", "i1", "new"), ("p2", "insurance", "i2", "new")]


def test_a_changed_policy_opens_one_request_with_column_names_and_no_values(vob: Vob) -> None:
    vob.initial_sync()
    run_id = vob.policies(("i2", 2), member_id="2", payer="Umbrella")
    assert vob.open()["opened"] == 1

    [row] = vob.rows()
    [patient] = vob.rows("SELECT id FROM patient WHERE ecw_id = 'p2'")
    assert row["patient_id"] == patient["id"]
    assert shown(vob) == [("p2", "insurance", "i2", "member_id, payer")]
    assert (row["practice"], row["run_id"], row["state"], row["delivery"]) == ("P1", run_id, "open", "none")
    assert (row["attempts"], row["sent_at"], row["delivery_note"]) == (0, None, None)
    assert "Umbrella" not in str(row)
    assert vob.rows(f"SELECT count(*) AS n FROM ecw_journal WHERE vob = '{row['key']}'") == [{"n": 1}]  # noqa: S608


def test_a_deleted_policy_opens_one_request_and_one_when_ecw_returns_it_again(vob: Vob) -> None:
    vob.initial_sync()
    for _ in range(2):
        vob.load("insurance", rejects=[a_reject("i2", "deleted", None, hour=None)])
        vob.open()
    assert shown(vob) == [("p2", "insurance", "i2", "emr_status")]
    vob.policies(("i2", 2))
    assert vob.open()["opened"] == 1


def test_a_mark_on_a_patient_opens_no_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.load("patient", rejects=[a_reject("p2", "deleted", None, hour=None)])
    assert vob.open() == {"opened": 0, "include_initial_sync": 0, "too_many": 0}


def test_reading_the_journal_again_opens_no_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i2", 2), member_id="2")
    vob.open()
    before = vob.rows()
    assert vob.open() == {"opened": 0, "include_initial_sync": 0, "too_many": 0}
    assert vob.rows() == before


def test_changes_of_two_policies_of_a_patient_in_one_load_are_one_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i2", 2), ("i3", 2), member_id="2")
    vob.open()
    assert shown(vob) == [("p2", "insurance", "i2, i3", "member_id, new")]


def test_changes_of_two_loads_are_two_requests(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i2", 2), member_id="2")
    vob.policies(("i2", 2), member_id="3")
    vob.policies(("i1", 1), member_id="3")
    assert vob.open()["opened"] == 3
    assert [row[0] for row in shown(vob)] == ["p2", "p2", "p1"], "in the order of the changes"


def test_a_cleared_run_opens_a_request_only_for_its_further_changes(vob: Vob) -> None:
    vob.initial_sync()
    run_id = vob.policies(("i2", 2), member_id="2")
    vob.open()
    vob.policies(("i2", 2), run_id=run_id, payer="Umbrella", member_id="2")
    vob.open()
    assert shown(vob) == [("p2", "insurance", "i2", "member_id"), ("p2", "insurance", "i2", "payer")]


def test_only_relevant_columns_of_a_patient_open_a_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.patients(1, language="es")
    vob.patients(2, language="es", phone="2")
    assert vob.open()["opened"] == 1
    assert shown(vob) == [("p2", "patient", "p2", "phone")]


def test_a_new_patient_opens_no_request_until_its_insurance_is_loaded(vob: Vob) -> None:
    vob.initial_sync()
    vob.patients(4)
    assert vob.open()["opened"] == 0
    vob.policies(("i4", 4))
    assert vob.open()["opened"] == 1
    assert shown(vob) == [("p4", "insurance", "i4", "new")]


def test_a_load_without_changes_opens_no_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i1", 1), ("i2", 2))
    assert vob.open()["opened"] == 0


def test_a_load_above_max_requests_per_load_opens_its_requests_only_when_its_run_is_named(
    vob: Vob, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    vob.initial_sync()
    settings(max_requests_per_load=1)
    flood = vob.policies(("i1", 1), ("i2", 2), member_id="2")
    vob.patients(3, phone="2")
    with caplog.at_level(logging.WARNING):
        assert vob.open() == {"opened": 1, "include_initial_sync": 0, "too_many": 2}
    assert f"the run {flood} would open more than 1 requests" in caplog.text
    assert shown(vob) == [("p3", "patient", "p3", "phone")]

    assert vob.open(flood) == {"opened": 2, "include_initial_sync": 0, "too_many": 0}
    with caplog.at_level(logging.WARNING):
        assert vob.open(flood) == {"opened": 0, "include_initial_sync": 0, "too_many": 0}
    assert len(vob.rows()) == 3
    assert f"The run {flood} has no change that opened no request." in caplog.text


def test_the_requests_of_the_initial_sync_can_be_opened_later_by_its_run(vob: Vob) -> None:
    vob.initial_sync()
    assert vob.open("r2") == {"opened": 2, "include_initial_sync": 0, "too_many": 0}


def test_a_changed_policy_that_was_deleted_in_the_crm_is_reported(vob: Vob, caplog: pytest.LogCaptureFixture) -> None:
    vob.initial_sync()
    vob.policies(("i1", 1), ("i2", 2), member_id="2")
    with vob.crm.begin() as connection:
        connection.execute(text("DELETE FROM insurance WHERE ecw_id = 'i1'"))
    with caplog.at_level(logging.WARNING):
        assert vob.open()["opened"] == 1
    assert "insurance: 1 changed rows are no longer in the CRM" in caplog.text


def test_changes_of_another_practice_open_no_request(vob: Vob) -> None:
    vob.initial_sync()
    vob.practice = "P2"
    vob.patients(7)
    vob.policies(("i7", 7))
    vob.policies(("i7", 7), member_id="2")
    assert vob.open() == {"opened": 0, "include_initial_sync": 0, "too_many": 0}
    assert vob.rows("SELECT count(*) AS n FROM ecw_journal WHERE practice = 'P2' AND vob IS NULL") == [{"n": 3}]


def test_concurrent_tasks_open_each_request_once(vob: Vob) -> None:
    vob.patients(*range(40))
    vob.policies(*((f"i{n}", n) for n in range(40)))
    vob.open()
    for value in ("2", "3", "4"):
        vob.policies(*((f"i{n}", n) for n in range(40)), member_id=value)
    with ThreadPoolExecutor(4) as pool:
        counts = [each.result() for each in [pool.submit(vob.open) for _ in range(4)]]
    assert sum(each["opened"] for each in counts) == 120
    assert len({(row["patient_ecw_id"], row["run_id"]) for row in vob.rows()}) == len(vob.rows()) == 120


def test_a_failure_opens_no_request_and_the_retry_opens_all(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i1", 1), ("i2", 2), member_id="2")
    with vob.crm.begin() as connection:  # the second request cannot be written
        connection.execute(text("CREATE UNIQUE INDEX one_a_run ON vob_request (run_id)"))
    with pytest.raises(CrmSchemaError, match="The requests to verify benefits"):
        vob.open()
    assert vob.rows() == []
    with vob.crm.begin() as connection:
        connection.execute(text("DROP INDEX one_a_run"))
    assert vob.open()["opened"] == 2


def test_a_table_of_the_crm_that_lacks_columns_is_reported_with_every_problem(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i1", 1), member_id="2")
    with vob.crm.begin() as connection:
        connection.execute(text("DROP TABLE vob_request"))
        connection.execute(
            text("CREATE TABLE vob_request (id INTEGER PRIMARY KEY, practice TEXT, owner TEXT NOT NULL, change TEXT)")
        )
    with pytest.raises(CrmSchemaError) as error:
        vob.open()
    assert "no column key" in str(error.value)
    assert "no column delivery_note" in str(error.value)
    assert "column owner is required" in str(error.value)
    assert "v0001_first.py" in error.value.next_step
    with vob.crm.begin() as connection:
        connection.execute(text("DROP TABLE vob_request"))
    with pytest.raises(CrmSchemaError, match="no table vob_request"):
        vob.open()


@pytest.mark.parametrize(
    "wrong",
    [{"max_requests_per_load": 0}, {"max_requests_per_load": "many"}, {"include_initial_sync": 1}, {"colour": "red"}],
)
def test_a_wrong_setting_is_refused(vob: Vob, settings: Any, wrong: dict[str, Any]) -> None:
    settings(**wrong)
    with pytest.raises(ConfigurationError, match="extra field `vob`"):
        vob.open()
