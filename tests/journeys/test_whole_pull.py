"""2,000 patients with faults on: the CRM ends equal to what the practice holds, row for row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from ecw.crm.engine import reading
from ecw.crm.tables import ecw_link, ecw_parked
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import expected, rows_of

EVERY_DAY = {"first_look_back_days": 2000, "look_back_days": 2000, "look_ahead_days": 2000, "allow_long": True}
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


@pytest.mark.parametrize("crm_url", ["postgresql"], indirect=True)
def test_the_crm_ends_equal_to_what_the_practice_holds(
    pull: Pulling,
    practice: Callable[[RunningSandbox], None],
    sandbox_factory: Callable[..., RunningSandbox],
) -> None:
    sandbox = sandbox_factory(patients=2000, quota=0, page_size=50)
    practice(sandbox)
    for number, (kind, rule) in enumerate(FAULTS):
        sandbox.fault(kind, seed=number, **rule)

    for options in (EVERY_DAY, EVERY_DAY | {"full": True}):
        run = pull.begin(options=options)
        for name in RESOURCES:
            numbers = pull.resource(run, name)
            assert numbers["fetched"] == sum(numbers.values()) - numbers["fetched"], name

    fired = {rule["kind"]: rule["fired"] for rule in sandbox.faults()}
    assert all(fired.values()), fired
    deleted = {ecw_id for rule in sandbox.faults() if rule["kind"] == "delete_next" for ecw_id in rule["touched"]}
    assert deleted
    for name in RESOURCES:
        held = expected(sandbox, name)
        there = rows_of(pull.crm, name)
        # A deleted patient stays in the CRM, marked, and so does what was theirs.
        left = there.keys() - held.keys()
        theirs = {ecw_id for ecw_id in left if deleted & {ecw_id, patient_of(there[ecw_id])}}
        assert left == theirs, name
        assert len(held) >= 8
        # What is theirs and came after they were gone waits for ever: nobody is invented for it.
        waiting = held.keys() - there.keys()
        assert {patient_of(held[ecw_id]) for ecw_id in waiting} <= deleted, name
        assert waiting == parked(pull, name)
        assert [ecw_id for ecw_id in held.keys() - waiting if held[ecw_id] != there[ecw_id]] == [], name
    with reading(pull.crm) as connection:
        marked = dict(
            connection.execute(select(ecw_link.c.ecw_id, ecw_link.c.status).filter_by(resource="patient")).all()
        )
    inactive = {record["id"] for record in sandbox.records("Patient") if record.get("active") is False}
    assert {ecw_id for ecw_id, status in marked.items() if status == "vanished"} == deleted & marked.keys()
    assert inactive <= {ecw_id for ecw_id, status in marked.items() if status in ("inactive", "merged", "deceased")}


def parked(pull: Pulling, name: str) -> set[str]:
    with reading(pull.crm) as connection:
        return set(connection.scalars(select(ecw_parked.c.ecw_id).filter_by(resource=name)))


def patient_of(row: dict[str, Any]) -> str:
    return str(row.get("patient") or "").removeprefix("Patient/")
