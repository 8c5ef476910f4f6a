"""The latest answer of eCW wins; versions decide only between answers whose reading times overlap."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.crm.load.test_three_way import table
from tests.fixtures.loads import DAY, a_reject, a_row, a_run, load, locations


def read(start: int, end: int | None = None, **more: Any) -> dict[str, Any]:
    """Return the fields of a batch that was read from eCW between these hours."""
    return {"read_from": f"{DAY}{start:02}:00:00+00:00", "read_until": f"{DAY}{end or start:02}:30:00+00:00"} | more


def test_a_later_answer_wins_even_with_an_older_version(crm_engine: Engine) -> None:
    """A record was restored with its former version, or an earlier version had a time in the future."""
    late = a_row("a", "Once") | {"version": "2099-01-01T00:00:00+00:00"}
    load(crm_engine, [late], **read(10))
    load(crm_engine, [a_row("a", "Now", 9)], run=a_run("r2"), **read(11))
    assert locations(crm_engine) == {"a": "Now"}
    load(crm_engine, [a_row("a", "Restored", 8)], run=a_run("r3"), **read(12))
    assert locations(crm_engine) == {"a": "Restored"}
    assert [row["stale"] for row in table(crm_engine, "ecw_run")] == [0, 0, 0]


def test_of_overlapping_answers_the_older_version_loses_and_is_reported_the_second_time(
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


def test_a_batch_that_is_to_be_loaded_always_wins_over_a_newer_version(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "New", 10)], **read(9, 11))
    load(crm_engine, [a_row("a", "Asked for", 8)], run=a_run("r2"), **read(10, 12, always=True))
    assert locations(crm_engine) == {"a": "Asked for"}


def test_a_tombstone_clears_the_version_of_the_link(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Before", 10)], **read(10))
    load(crm_engine, rejects=[a_reject("a", rule="deleted", column=None)], run=a_run("r2"), **read(10, 11))
    assert [row["source_version"] for row in table(crm_engine, "ecw_link")] == [None]
    load(crm_engine, [a_row("a", "Undeleted", 9)], run=a_run("r3"), **read(11))
    assert locations(crm_engine) == {"a": "Undeleted"}


def test_a_reject_with_a_version_in_the_future_is_resolved_by_a_later_answer(crm_engine: Engine) -> None:
    late = a_reject("a") | {"version": "2099-01-01T00:00:00+00:00"}
    load(crm_engine, rejects=[late], **read(10))
    load(crm_engine, [a_row("a", "Fixed", 9)], run=a_run("r2"), **read(11))
    assert [row["state"] for row in table(crm_engine, "ecw_reject")] == ["resolved"]


def test_a_reject_of_a_later_answer_is_open_even_with_an_older_version(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Before", 10)], **read(10))
    load(crm_engine, rejects=[a_reject("a", hour=9)], run=a_run("r2"), **read(11))
    assert [row["state"] for row in table(crm_engine, "ecw_reject")] == ["open"]


@pytest.mark.parametrize("version", [None, "2026-11-22T08:00:00+00:00"])
def test_a_replay_of_an_earlier_answer_does_not_overwrite_a_later_answer(
    crm_engine: Engine, version: str | None
) -> None:
    load(crm_engine, rejects=[a_reject("a") | {"version": version}], **read(9))
    load(crm_engine, rejects=[a_reject("b") | {"version": version}], run=a_run("r2"), **read(9))
    load(crm_engine, [a_row("a", "Now", None)], run=a_run("r3"), **read(10))
    old = [a_row(ecw_id, "Then") | {"version": version} for ecw_id in ("a", "b")]
    load(crm_engine, old, run=a_run("again", mode="replay"))
    assert locations(crm_engine) == {"a": "Now", "b": "Then"}


@pytest.mark.parametrize("known", [True, False])
def test_without_a_reading_time_versions_decide(crm_engine: Engine, known: bool) -> None:
    """A replay loads an answer of an earlier run and has no reading time of its own."""
    load(crm_engine, [a_row("a", "New", 10)], **(read(9) if known else {}))
    load(crm_engine, [a_row("a", "Old", 8)], run=a_run("r2", mode="replay"))
    assert locations(crm_engine) == {"a": "New"}
