"""The cursor of a resource: which runs move it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.crm.state import cursors
from tests.fixtures.loads import a_run, load

NOON, LATER = "2026-11-22T12:00:00+00:00", "2026-11-22T14:00:00+00:00"


@pytest.mark.parametrize(
    ("second_run", "expected"),
    [
        ({"run_type": "scheduled", "window_start": "2026-11-22T11:00:00+00:00", "window_end": LATER}, LATER),
        ({"run_type": "manual", "window_start": None, "window_end": LATER}, LATER),
        ({"run_type": "manual", "window_start": "2026-11-22T19:45:00+05:45", "window_end": LATER}, NOON),
        ({"run_type": "backfill", "window_start": None, "window_end": LATER}, NOON),
        ({"run_type": "scheduled", "window_start": None, "window_end": "2026-11-22T10:00:00+00:00"}, NOON),
    ],
    ids=["overlap", "on demand, everything", "on demand, after a gap", "backfill", "backwards"],
)
def test_the_cursor_moves_only_forward_and_without_a_gap(
    crm_engine: Engine, second_run: dict[str, Any], expected: str
) -> None:
    load(crm_engine, run=a_run("r1", window_end=NOON))
    load(crm_engine, run=a_run("r2", **second_run))
    assert cursors.get(crm_engine, "P1", "location") == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("run_type", "start", "moves"),
    [("scheduled", NOON, True), ("manual", NOON, False), ("manual", None, True), ("backfill", None, False)],
)
def test_the_first_run_sets_the_cursor_only_if_it_leaves_no_gap(
    crm_engine: Engine, run_type: str, start: str | None, moves: bool
) -> None:
    load(crm_engine, run=a_run("r1", run_type=run_type, window_start=start, window_end=LATER))
    expected = datetime(2026, 11, 22, 14, tzinfo=UTC) if moves else None
    assert cursors.get(crm_engine, "P1", "location") == expected


def test_each_practice_has_its_own_cursor(crm_engine: Engine) -> None:
    load(crm_engine, run=a_run("r1"))
    assert cursors.get(crm_engine, "P2", "location") is None
