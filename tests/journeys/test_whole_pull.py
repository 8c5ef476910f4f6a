"""A practice with faults, whose records change during the pull: the CRM ends with the same rows as the practice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_deferred_row, ecw_link
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import expected, rows_of

EVERY_DAY = {
    "initial_sync_back_days": 2000,
    "look_back_days": 2000,
    "look_ahead_days": 2000,
    "ignore_time_budget": True,
}
FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("latency", {"probability": 0.02, "seconds": 0.02}),
    ("server_error", {"probability": 0.002}),
    ("drop", {"probability": 0.002}),
    ("truncate", {"probability": 0.002}),
    ("wrong_total", {"probability": 0.2}),
    ("repeat", {"probability": 0.2}),
    ("next_loops", {"probability": 0.01}),
    ("next_gone", {"probability": 0.01}),
    ("merge_next", {"probability": 0.03, "resource": "Patient", "times": 10}),
    ("deactivate_next", {"probability": 0.03, "resource": "Patient", "times": 10}),
    ("delete_next", {"probability": 0.03, "resource": "Patient", "times": 5}),
]


@pytest.mark.journey
@pytest.mark.parametrize(
    ("crm_url", "patients"),
    [("sqlite", 240), pytest.param("postgresql", 2000, marks=pytest.mark.slow)],
    indirect=["crm_url"],
)
def test_the_crm_ends_equal_to_the_practice(
    pull: Pulling,
    practice: Callable[[RunningSandbox], None],
    sandbox_factory: Callable[..., RunningSandbox],
    patients: int,
) -> None:
    sandbox = sandbox_factory(patients=patients, quota=0, page_size=patients // 40)
    practice(sandbox)
    for number, (kind, rule) in enumerate(FAULTS):
        # A small practice needs fewer calls, so a rare fault gets a higher probability.
        factor = 2000 / patients if rule["probability"] < 0.01 else 1
        sandbox.fault(kind, seed=number, **rule | {"probability": rule["probability"] * factor})

    changed: dict[str, set[str]] = {}
    searched: set[str] = set()  # patients who were neither deleted nor merged away when insurance was pulled
    for options in (EVERY_DAY, EVERY_DAY | {"full": True}):
        run = pull.begin(options=options)
        for name in RESOURCES:
            if name == "insurance":
                searched |= {ecw_id for ecw_id, status in marked(pull).items() if status not in ("deleted", "merged")}
            numbers = pull.resource(run, name)
            assert numbers["fetched"] == sum(numbers.values()) - numbers["fetched"], name
        changed = changed or {name: change(pull, sandbox, name) for name in ("insurance", "encounter")}

    faults = [
        rule for rule in sandbox.faults() if rule["kind"] in dict(FAULTS)
    ]  # without the rules that these faults add
    fired = {rule["kind"]: rule["fired"] for rule in faults}
    assert all(fired.values()), fired
    deleted = {ecw_id for rule in faults if rule["kind"] == "delete_next" for ecw_id in rule["touched"]}
    assert deleted
    sandbox.clear_faults()
    pull.resource(pull.begin(options=EVERY_DAY), "patient")  # changes after the last run fetched the patient
    status_of = marked(pull)
    merged = {ecw_id for ecw_id, status in status_of.items() if status == "merged"}
    for name in RESOURCES:
        held = expected(sandbox, name)
        in_crm = rows_of(pull.crm, name)
        # A deleted patient stays in the CRM, marked as deleted, with insurance and encounters.
        left = in_crm.keys() - held.keys()
        of_deleted = {ecw_id for ecw_id in left if deleted & {ecw_id, patient_of(in_crm[ecw_id])}}
        assert left == of_deleted | changed.get(name, set()), name
        assert changed.get(name, set()) <= marked_deleted(pull, name) <= left, name
        assert len(held) >= 8
        # Rows of a deleted patient that arrive later are deferred for ever: no patient is invented for them.
        waiting = held.keys() - in_crm.keys()
        not_searched = merged if name == "insurance" else set()  # after a merge it belongs to the other patient
        assert {patient_of(held[ecw_id]) for ecw_id in waiting} <= deleted | not_searched, name
        # Insurance is fetched by patient: that of a patient who was deleted or merged before is never fetched.
        known = {ecw_id for ecw_id in waiting if name != "insurance" or patient_of(held[ecw_id]) in searched - merged}
        assert known <= deferred(pull, name) <= waiting, name
        assert [ecw_id for ecw_id in held.keys() - waiting if held[ecw_id] != in_crm[ecw_id]] == [], name
    inactive = {record["id"] for record in sandbox.records("Patient") if record.get("active") is False}
    marked_as_deleted = {ecw_id for ecw_id, status in status_of.items() if status == "deleted"}
    assert marked_as_deleted == deleted & status_of.keys(), "the patients marked as deleted"
    assert inactive <= {ecw_id for ecw_id, status in status_of.items() if status in ("inactive", "merged", "deceased")}


def change(pull: Pulling, sandbox: RunningSandbox, name: str) -> set[str]:
    """Delete three records of a resource, and move two encounters, one beyond every window; return the deleted ids."""
    fhir_type = RESOURCES[name].fhir_type
    moved, away, *others = [sandbox.record(fhir_type, ecw_id) for ecw_id in sorted(rows_of(pull.crm, name))[:5]]
    if name == "encounter":
        for record, day in ((moved, "2026-12-24"), (away, "2039-01-03")):
            period = {"start": f"{day}T10:00:00-05:00", "end": f"{day}T10:30:00-05:00"}
            sandbox.put({**record, "period": period})
    for record in others:
        sandbox.delete(fhir_type, record["id"])
    return {record["id"] for record in others}


def marked(pull: Pulling) -> dict[str, str | None]:
    """Return the status of every linked patient's link."""
    statement = select(ecw_link.c.ecw_id, ecw_link.c.status).filter_by(resource="patient")
    with reading(pull.crm) as connection:
        return dict(connection.execute(statement).all())


def marked_deleted(pull: Pulling, name: str) -> set[str]:
    with reading(pull.crm) as connection:
        return set(connection.scalars(select(ecw_link.c.ecw_id).filter_by(resource=name, status="deleted")))


def deferred(pull: Pulling, name: str) -> set[str]:
    with reading(pull.crm) as connection:
        return set(connection.scalars(select(ecw_deferred_row.c.ecw_id).filter_by(resource=name)))


def patient_of(row: dict[str, Any]) -> str:
    return str(row.get("patient") or "").removeprefix("Patient/")
