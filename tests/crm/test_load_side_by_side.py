"""Loads of different resources at once: patients are loaded while encounters that refer to them are deferred."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from sqlalchemy import Engine, text

from ecw.crm.db.engine import reading
from ecw.models import Counts
from tests.crm.load.test_deferred import ENCOUNTER, PATIENT, load, table, visit
from tests.fixtures.loads import a_row

BATCHES, SIZE = 4, 1_200  # enough rows that the load makes PostgreSQL analyse its tables


def patients(batch: int) -> list[dict[str, Any]]:
    names = (f"p{batch}-{n}" for n in range(SIZE))
    return [a_row(name) | {"row": {"ecw_id": name, "last_name": "Reyes"}} for name in names]


def visits(batch: int) -> list[dict[str, Any]]:
    """Return visits: half of the batch's own patients, half of the last batch's, who are loaded last."""
    return [visit(f"v{batch}-{n}", f"Patient/p{(batch if n % 2 else BATCHES - 1)}-{n}") for n in range(SIZE)]


def test_patients_and_encounters_load_at_once_and_every_deferred_encounter_is_loaded(crm_engine: Engine) -> None:
    barrier = Barrier(3)
    first = load(crm_engine, ENCOUNTER, *visits(0), run_id="v0")
    assert first == Counts(fetched=SIZE, rejected=SIZE)

    def load_patients() -> list[Counts]:
        barrier.wait()
        return [load(crm_engine, PATIENT, *patients(batch), run_id=f"p{batch}") for batch in range(BATCHES)]

    def load_encounters(batches: range) -> list[Counts]:
        barrier.wait()
        return [load(crm_engine, ENCOUNTER, *visits(batch), run_id=f"v{batch}") for batch in batches]

    with ThreadPoolExecutor(3) as pool:
        loading = [
            pool.submit(load_patients),
            pool.submit(load_encounters, range(1, BATCHES, 2)),
            pool.submit(load_encounters, range(2, BATCHES, 2)),
        ]
        loaded, *encounters = [each.result() for each in loading]
    encounter_counts = [counts for batches in encounters for counts in batches]
    encounter_counts.append(load(crm_engine, ENCOUNTER, run_id="last"))

    assert sum(numbers.inserted for numbers in loaded) == BATCHES * SIZE
    assert sum(numbers.inserted for numbers in encounter_counts) == BATCHES * SIZE
    assert table(crm_engine, "ecw_deferred_row") == []
    assert {reject["state"] for reject in table(crm_engine, "ecw_reject")} == {"resolved"}
    with reading(crm_engine) as connection:
        query = (
            "SELECT count(*) FROM encounter e JOIN patient p ON p.id = e.patient_id "
            "WHERE e.patient = 'Patient/' || p.ecw_id"
        )
        assert connection.execute(text(query)).scalar_one() == BATCHES * SIZE
