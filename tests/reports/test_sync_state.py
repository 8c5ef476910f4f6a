"""The state of practices: last runs and waiting records of every kind, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.reports.sync_state import Clock, practices, states
from ecw.resources import RESOURCES
from tests.fixtures.console_data import Scale, fill

pytestmark = pytest.mark.both_databases
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CLOCK = Clock(NOW, timedelta(hours=2))


def test_waiting_records_are_counted_once(crm_engine: Engine) -> None:
    fill(crm_engine, "P1", Scale(days=1, rejects=40), now=NOW)
    fill(crm_engine, "P2", Scale(days=1, rejects=0), now=NOW)
    with reading(crm_engine) as connection:
        assert practices(connection) == ["P1", "P2"]
        first, second = states(connection, dict.fromkeys(["P1", "P2"], CLOCK))
    found = {one.resource: one for one in first.resources}
    assert list(found) == list(RESOURCES)
    assert {name: one.open_rejects for name, one in found.items() if one.open_rejects} == {
        **{"encounter": 5, "patient": 20, "insurance": 10}
    }
    assert {name: one.unmapped for name, one in found.items() if one.unmapped} == {"encounter": 5}
    patient = found["patient"]
    assert (patient.conflicts, patient.held, patient.unknown) == (2, 1, 1)
    assert sum(one.open_rejects for one in second.resources) == 0


def test_age_counts_from_the_last_good_sync_and_lateness_from_the_schedule(crm_engine: Engine) -> None:
    fill(crm_engine, "P1", Scale(days=1, rejects=0), now=NOW)
    with reading(crm_engine) as connection:
        [state] = states(connection, {"P1": CLOCK})
    late = {one.resource: (one.late, one.last_run.state if one.last_run else None) for one in state.resources}
    assert late == {**dict.fromkeys(RESOURCES, (False, "loaded")), "encounter": (True, "failed")}
    encounter = state.resources[-1]
    assert encounter.age_seconds == (10 * 60 + 7) * 60 - 40
    assert encounter.last_run is not None
    assert "503" in (encounter.last_run.error or "")


def test_a_practice_that_never_ran_has_no_age(crm_engine: Engine) -> None:
    with reading(crm_engine) as connection:
        assert practices(connection) == []
        [state] = states(connection, {"NEW": CLOCK})
    assert {(one.age_seconds, one.late, one.last_run) for one in state.resources} == {(None, False, None)}
