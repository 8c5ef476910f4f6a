"""Expectations over time: each with its last checks, the worst first, and only those of the present suite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.crm.state import quality_results
from ecw.crm.state.quality_results import Finding
from ecw.reports import quality_history
from ecw.reports.quality_history import CHECKS, Expectation
from tests.fixtures.loads import a_run
from tests.ui.test_quality import VOLUME, rule

pytestmark = pytest.mark.both_databases


def checked(engine: Engine, run: str, *findings: Finding, resource: str = "patient") -> None:
    quality_results.write(engine, a_run(run), resource, [VOLUME, *findings])


def history(engine: Engine, **options: Any) -> list[Expectation]:
    with reading(engine) as connection:
        return quality_history.history(connection, "P1", **options)


def test_the_worst_comes_first_with_its_checks_in_order(crm_engine: Engine) -> None:
    good = rule(column="city", verdict="pass", broken=0)
    checked(crm_engine, "r1", good, rule(column="state", verdict="warn"))
    checked(crm_engine, "r2", good, rule(column="state", verdict="pass", broken=0), rule(column="phone"))
    expectations = history(crm_engine)
    assert [one.column for one in expectations[:2]] == ["phone", "state"]
    assert [one.verdict for one in expectations[1].checks] == ["warn", "pass"]
    assert [one.run_id for one in expectations[1].checks] == ["r1", "r2"]
    assert len(expectations) == 4
    assert history(crm_engine, resources=["location"]) == []


def test_an_expectation_that_was_removed_from_the_suite_is_left_out(crm_engine: Engine) -> None:
    checked(crm_engine, "r1", rule(column="city"))
    checked(crm_engine, "r2", rule(column="state"))
    assert {one.column for one in history(crm_engine)} == {"", "state"}


def test_the_volume_stays_one_expectation_when_its_demand_changes(crm_engine: Engine) -> None:
    checked(crm_engine, "r1")
    quality_results.write(crm_engine, a_run("r2"), "patient", [replace(VOLUME, demand="at least 40")])
    [volume] = history(crm_engine)
    assert len(volume.checks) == 2


def test_only_the_last_checks_are_read(crm_engine: Engine) -> None:
    for at in range(CHECKS + 2):
        checked(crm_engine, f"r{at:02}", rule())
    assert {len(one.checks) for one in history(crm_engine)} == {CHECKS}
