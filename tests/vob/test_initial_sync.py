"""The initial sync of insurance over several runs opens no requests; changes during it do."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.vob.conftest import Vob

pytestmark = pytest.mark.both_databases  # a load recognises the initial sync in SQL

NOTHING = {"opened": 0, "include_initial_sync": 0, "too_many": 0}


def policy_ids(numbers: range) -> list[tuple[str, int]]:
    return [(f"i{n}", n) for n in numbers]


def begin_initial_sync(vob: Vob, patients: int = 60, fetched: int = 10) -> None:
    """Load patients and the insurance of some of them, as in a first run, and let crm_vob read the journal."""
    vob.patients(*range(patients))
    vob.policies(*policy_ids(range(fetched)), queried=range(fetched))
    assert vob.open() == {"opened": 0, "include_initial_sync": fetched, "too_many": 0}


def requested(vob: Vob) -> list[tuple[str, str]]:
    return [(row["patient_ecw_id"], row["change"]) for row in vob.rows()]


def test_the_runs_of_an_initial_sync_open_no_request(vob: Vob) -> None:
    begin_initial_sync(vob)
    for start in range(10, 60, 10):
        vob.policies(*policy_ids(range(start, start + 10)), queried=range(start, start + 10))
        assert vob.open() == {"opened": 0, "include_initial_sync": 10, "too_many": 0}
    assert vob.rows("SELECT count(*) AS n FROM ecw_initial_sync WHERE run_id IS NULL") == [{"n": 0}]


def test_rows_of_the_initial_sync_do_not_count_towards_max_requests_per_load(vob: Vob, settings: object) -> None:
    settings(max_requests_per_load=5)  # type: ignore[operator]
    begin_initial_sync(vob)
    vob.load(
        "insurance",
        *({"ecw_id": f"i{n}", "patient": f"Patient/p{n}", "payer": "Acme", "member_id": "1"} for n in range(10, 40)),
        {"ecw_id": "i2", "patient": "Patient/p2", "payer": "Umbrella", "member_id": "1"},
        queried=[f"p{n}" for n in (2, *range(10, 40))],
    )
    assert vob.open() == {"opened": 1, "include_initial_sync": 30, "too_many": 0}
    assert requested(vob) == [("p2", "payer")]


def test_a_new_policy_of_a_patient_that_was_queried_before_opens_a_request(vob: Vob) -> None:
    begin_initial_sync(vob)
    vob.policies(queried=[20])  # patient 20 has no policy
    vob.policies(("i20", 20), ("j2", 2), ("i30", 30), queried=[20, 2, 30])
    assert vob.open() == {"opened": 2, "include_initial_sync": 1, "too_many": 0}
    assert sorted(requested(vob)) == [("p2", "new"), ("p20", "new")]


def test_the_insurance_of_a_patient_added_during_the_initial_sync_opens_a_request(vob: Vob) -> None:
    begin_initial_sync(vob)
    vob.patients(90)
    vob.policies(("i90", 90), ("i11", 11), queried=[90, 11])
    assert vob.open() == {"opened": 1, "include_initial_sync": 1, "too_many": 0}
    assert requested(vob) == [("p90", "new")]


def test_a_pull_of_one_patient_is_not_the_initial_sync_of_the_practice(vob: Vob) -> None:
    vob.patients(1)
    vob.policies(("i1", 1), queried=[1], moves_cursor=False)
    assert vob.open()["opened"] == 0
    vob.patients(*range(60))
    vob.policies(*policy_ids(range(60)), queried=range(60))
    assert vob.open() == {"opened": 0, "include_initial_sync": 59, "too_many": 0}
    vob.policies(("j1", 1), queried=[1])
    assert requested(vob) == []
    assert vob.open()["opened"] == 1


def test_a_patient_that_was_pulled_alone_is_not_part_of_the_initial_sync(vob: Vob) -> None:
    vob.patients(1)
    vob.policies(queried=[1], moves_cursor=False)
    vob.patients(*range(60))
    vob.policies(*policy_ids(range(2, 12)), queried=range(2, 12))
    vob.policies(("i1", 1), ("i40", 40), queried=[1, 40])
    assert vob.open() == {"opened": 1, "include_initial_sync": 11, "too_many": 0}
    assert requested(vob) == [("p1", "new")]


def test_the_first_run_cleared_later_opens_requests_for_its_changes(vob: Vob) -> None:
    vob.initial_sync()
    vob.policies(("i3", 3), run_id="second")
    vob.policies(("i1", 1), ("i2", 2), ("i4", 3), run_id="r2", member_id="7")  # the first run, cleared
    assert vob.open() == {"opened": 4, "include_initial_sync": 0, "too_many": 0}
    assert sorted(requested(vob)) == [("p1", "member_id"), ("p2", "member_id"), ("p3", "new"), ("p3", "new")]


def test_a_patient_that_was_rejected_before_is_part_of_the_initial_sync(vob: Vob) -> None:
    vob.patients(1, 2)
    with vob.crm.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO ecw_reject (practice, resource, ecw_id, step, rule, "column", reason, state, first_run, '
                "last_run) VALUES ('P1', 'patient', 'p9', 'map', 'unmapped code', 'gender', 'x', 'open', 'r1', 'r1')"
            )
        )
    vob.policies(("i1", 1), queried=[1])
    vob.patients(9)
    vob.policies(("i9", 9), queried=[9])
    assert vob.open() == {"opened": 0, "include_initial_sync": 2, "too_many": 0}


def test_a_full_fetch_of_insurance_ends_the_initial_sync(vob: Vob) -> None:
    begin_initial_sync(vob)
    vob.policies(*policy_ids(range(60)))  # for example an export, which queries no single patients
    assert vob.open() == {"opened": 0, "include_initial_sync": 50, "too_many": 0}
    vob.policies(("j50", 50))
    assert vob.open()["opened"] == 1


def test_a_repeated_load_of_a_run_stays_part_of_the_initial_sync(vob: Vob) -> None:
    begin_initial_sync(vob)
    for _ in range(2):
        vob.policies(("i20", 20), queried=[20], run_id="twice")
    assert vob.open() == {"opened": 0, "include_initial_sync": 1, "too_many": 0}
    vob.policies(("i20", 20), ("j20", 20), queried=[20], run_id="twice")
    assert vob.open()["opened"] == 1, "crm_vob had read the journal before this load"


def test_a_row_that_the_crm_had_before_opens_no_request_when_it_is_linked(vob: Vob) -> None:
    vob.initial_sync()
    with vob.crm.begin() as connection:
        connection.execute(text("INSERT INTO patient (ecw_id, last_name, phone) VALUES ('p7', 'Doe', '0')"))
    vob.patients(7, phone="1")
    assert vob.open() == {"opened": 0, "include_initial_sync": 1, "too_many": 0}
    vob.patients(7, phone="2")
    assert vob.open()["opened"] == 1
