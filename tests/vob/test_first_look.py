"""The first look at everybody's insurance takes turns, and opens no request; what changes meanwhile does."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tests.vob.conftest import Vob

pytestmark = pytest.mark.both_databases  # a load decides it in SQL

NOTHING = {"opened": 0, "include_initial_sync": 0, "too_many": 0}


def of(numbers: range) -> list[tuple[str, int]]:
    return [(f"i{n}", n) for n in numbers]


def begun(vob: Vob, patients: int = 60, fetched: int = 10) -> None:
    """Load patients, and the insurance of some of them, as a first run does; crm_vob has read it."""
    vob.patients(*range(patients))
    vob.policies(*of(range(fetched)), asked=range(fetched))
    assert vob.open() == {"opened": 0, "include_initial_sync": fetched, "too_many": 0}


def requested(vob: Vob) -> list[tuple[str, str]]:
    return [(row["patient_ecw_id"], row["change"]) for row in vob.rows()]


def test_the_turns_of_a_first_look_open_none(vob: Vob) -> None:
    begun(vob)
    for start in range(10, 60, 10):
        vob.policies(*of(range(start, start + 10)), asked=range(start, start + 10))
        assert vob.open() == {"opened": 0, "include_initial_sync": 10, "too_many": 0}
    assert vob.rows("SELECT count(*) AS n FROM ecw_initial_sync WHERE run_id IS NULL") == [{"n": 0}]


def test_a_change_among_more_first_looks_than_the_most_opens_one(vob: Vob, settings: object) -> None:
    settings(max_requests_per_load=5)  # type: ignore[operator]
    begun(vob)
    vob.load(
        "insurance",
        *({"ecw_id": f"i{n}", "patient": f"Patient/p{n}", "payer": "Acme", "member_id": "1"} for n in range(10, 40)),
        {"ecw_id": "i2", "patient": "Patient/p2", "payer": "Umbrella", "member_id": "1"},
        queried=[f"p{n}" for n in (2, *range(10, 40))],
    )
    assert vob.open() == {"opened": 1, "include_initial_sync": 30, "too_many": 0}
    assert requested(vob) == [("p2", "payer")]


def test_a_new_policy_opens_one_once_its_patient_was_fetched(vob: Vob) -> None:
    begun(vob)
    vob.policies(asked=[20])  # nothing there
    vob.policies(("i20", 20), ("j2", 2), ("i30", 30), asked=[20, 2, 30])
    assert vob.open() == {"opened": 2, "include_initial_sync": 1, "too_many": 0}
    assert sorted(requested(vob)) == [("p2", "new"), ("p20", "new")]


def test_who_comes_to_the_practice_meanwhile_is_no_part_of_it(vob: Vob) -> None:
    begun(vob)
    vob.patients(90)
    vob.policies(("i90", 90), ("i11", 11), asked=[90, 11])
    assert vob.open() == {"opened": 1, "include_initial_sync": 1, "too_many": 0}
    assert requested(vob) == [("p90", "new")]


def test_a_single_patient_before_everybody_is_not_the_practices_first_look(vob: Vob) -> None:
    vob.patients(1)
    vob.policies(("i1", 1), asked=[1], moves_cursor=False)
    assert vob.open()["opened"] == 0
    vob.patients(*range(60))
    vob.policies(*of(range(60)), asked=range(60))
    assert vob.open() == {"opened": 0, "include_initial_sync": 59, "too_many": 0}
    vob.policies(("j1", 1), asked=[1])
    assert requested(vob) == []
    assert vob.open()["opened"] == 1


def test_what_a_single_patients_pull_has_fetched_is_not_fetched_first_again(vob: Vob) -> None:
    vob.patients(1)
    vob.policies(asked=[1], moves_cursor=False)
    vob.patients(*range(60))
    vob.policies(*of(range(2, 12)), asked=range(2, 12))
    vob.policies(("i1", 1), ("i40", 40), asked=[1, 40])
    assert vob.open() == {"opened": 1, "include_initial_sync": 11, "too_many": 0}
    assert requested(vob) == [("p1", "new")]


def test_a_run_that_is_cleared_later_swallows_nothing(vob: Vob) -> None:
    vob.first()
    vob.policies(("i3", 3), run_id="second")
    vob.policies(("i1", 1), ("i2", 2), ("i4", 3), run_id="r2", member_id="7")  # the first one, cleared
    assert vob.open() == {"opened": 4, "include_initial_sync": 0, "too_many": 0}
    assert sorted(requested(vob)) == [("p1", "member_id"), ("p2", "member_id"), ("p3", "new"), ("p3", "new")]


def test_a_patient_who_was_refused_at_first_belongs_to_it(vob: Vob) -> None:
    vob.patients(1, 2)
    with vob.crm.begin() as connection:
        connection.execute(
            text(
                'INSERT INTO ecw_reject (practice, resource, ecw_id, step, rule, "column", reason, state, first_run, '
                "last_run) VALUES ('P1', 'patient', 'p9', 'map', 'unmapped code', 'gender', 'x', 'open', 'r1', 'r1')"
            )
        )
    vob.policies(("i1", 1), asked=[1])
    vob.patients(9)
    vob.policies(("i9", 9), asked=[9])
    assert vob.open() == {"opened": 0, "include_initial_sync": 2, "too_many": 0}


def test_another_way_of_looking_ends_the_turns(vob: Vob) -> None:
    begun(vob)
    vob.policies(*of(range(60)))  # an export, say: nobody is asked about one by one
    assert vob.open() == {"opened": 0, "include_initial_sync": 50, "too_many": 0}
    vob.policies(("j50", 50))
    assert vob.open()["opened"] == 1


def test_a_load_that_is_done_twice_is_fetched_once(vob: Vob) -> None:
    begun(vob)
    for _ in range(2):
        vob.policies(("i20", 20), asked=[20], run_id="twice")
    assert vob.open() == {"opened": 0, "include_initial_sync": 1, "too_many": 0}
    vob.policies(("i20", 20), ("j20", 20), asked=[20], run_id="twice")
    assert vob.open()["opened"] == 1, "it was read before this load"


def test_what_the_crm_had_before_is_no_change_when_it_is_linked(vob: Vob) -> None:
    vob.first()
    with vob.crm.begin() as connection:
        connection.execute(text("INSERT INTO patient (ecw_id, last_name, phone) VALUES ('p7', 'Doe', '0')"))
    vob.patients(7, phone="1")
    assert vob.open() == {"opened": 0, "include_initial_sync": 1, "too_many": 0}
    vob.patients(7, phone="2")
    assert vob.open()["opened"] == 1
