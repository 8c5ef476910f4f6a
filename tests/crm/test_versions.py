"""What eCW answers now is the truth; versions decide only between answers that may have crossed each other."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.crm.load.test_three_way import table
from tests.fixtures.loads import DAY, a_reject, a_row, a_run, load, locations


def read(start: int, end: int | None = None, **more: Any) -> dict[str, Any]:
    """Return what a batch says of a reading between these hours."""
    return {"read_from": f"{DAY}{start:02}:00:00+00:00", "read_until": f"{DAY}{end or start:02}:30:00+00:00"} | more


def test_a_later_answer_wins_though_its_version_is_older(crm_engine: Engine) -> None:
    """A record was restored with its former version, or the version once was an hour, or a century, too late."""
    late = a_row("a", "Once") | {"version": "2099-01-01T00:00:00+00:00"}
    load(crm_engine, [late], **read(10))
    load(crm_engine, [a_row("a", "Now", 9)], run=a_run("r2"), **read(11))
    assert locations(crm_engine) == {"a": "Now"}
    load(crm_engine, [a_row("a", "Restored", 8)], run=a_run("r3"), **read(12))
    assert locations(crm_engine) == {"a": "Restored"}
    assert [row["stale"] for row in table(crm_engine, "ecw_run")] == [0, 0, 0]


def test_of_answers_that_may_cross_the_older_version_loses_and_is_reported_when_it_stays_so(
    crm_engine: Engine, caplog: Any
) -> None:
    load(crm_engine, [a_row("a", "New", 10)], **read(9, 11))
    load(crm_engine, [a_row("a", "Old", 8)], run=a_run("r2"), **read(10, 12))
    assert locations(crm_engine) == {"a": "New"}
    with caplog.at_level(logging.WARNING):
        load(crm_engine, [a_row("a", "Older", 7)], run=a_run("r3"), **read(10, 13))
    assert "1 records came in an older version" in caplog.text
    assert "(a)" in caplog.text
    assert [(row["stale"], row["still_stale"]) for row in table(crm_engine, "ecw_run")] == [(0, 0), (1, 0), (1, 1)]
    load(crm_engine, [a_row("a", "Now", 7)], run=a_run("r4"), **read(14))
    assert locations(crm_engine) == {"a": "Now"}
    assert [row["stale_run"] for row in table(crm_engine, "ecw_link")] == [None]


def test_everything_again_and_single_records_always_win(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "New", 10)], **read(9, 11))
    load(crm_engine, [a_row("a", "Asked for", 8)], run=a_run("r2"), **read(10, 12, always=True))
    assert locations(crm_engine) == {"a": "Asked for"}


def test_a_tombstone_clears_the_version(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Before", 10)], **read(10))
    load(crm_engine, rejects=[a_reject("a", rule="deleted", column=None)], run=a_run("r2"), **read(10, 11))
    assert [row["source_version"] for row in table(crm_engine, "ecw_link")] == [None]
    load(crm_engine, [a_row("a", "Undeleted", 9)], run=a_run("r3"), **read(11))
    assert locations(crm_engine) == {"a": "Undeleted"}


def test_a_refused_version_that_was_too_late_does_not_stay_in_the_quarantine(crm_engine: Engine) -> None:
    late = a_reject("a") | {"version": "2099-01-01T00:00:00+00:00"}
    load(crm_engine, rejects=[late], **read(10))
    load(crm_engine, [a_row("a", "Fixed", 9)], run=a_run("r2"), **read(11))
    assert [row["state"] for row in table(crm_engine, "ecw_reject")] == ["resolved"]


def test_a_version_refused_now_is_open_though_the_crm_was_made_from_a_later_one(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Before", 10)], **read(10))
    load(crm_engine, rejects=[a_reject("a", hour=9)], run=a_run("r2"), **read(11))
    assert [row["state"] for row in table(crm_engine, "ecw_reject")] == ["open"]


@pytest.mark.parametrize("version", [None, "2026-11-22T08:00:00+00:00"])
def test_a_replay_of_what_was_read_before_does_not_win_where_versions_do_not_tell(
    crm_engine: Engine, version: str | None
) -> None:
    load(crm_engine, rejects=[a_reject("a") | {"version": version}], **read(9))
    load(crm_engine, rejects=[a_reject("b") | {"version": version}], run=a_run("r2"), **read(9))
    load(crm_engine, [a_row("a", "Now", None)], run=a_run("r3"), **read(10))
    old = [a_row(ecw_id, "Then") | {"version": version} for ecw_id in ("a", "b")]
    load(crm_engine, old, run=a_run("again", mode="replay"))
    assert locations(crm_engine) == {"a": "Now", "b": "Then"}


@pytest.mark.parametrize("known", [True, False])
def test_without_the_time_of_reading_versions_decide(crm_engine: Engine, known: bool) -> None:
    """A replay brings what a run has read once."""
    load(crm_engine, [a_row("a", "New", 10)], **(read(9) if known else {}))
    load(crm_engine, [a_row("a", "Old", 8)], run=a_run("r2", mode="replay"))
    assert locations(crm_engine) == {"a": "New"}
