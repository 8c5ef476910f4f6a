"""The rejects by rule: the pages list each counted reject once, and the queries use an index."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from ecw.crm.db.engine import reading
from ecw.crm.state import runs
from ecw.pull.replay.dismiss import dismiss
from ecw.reports import rejects
from ecw.reports.rejects import PAGE, Group, RejectFilter
from tests.fixtures.loads import a_reject, a_run, load

pytestmark = pytest.mark.both_databases


@pytest.fixture
def filled(crm_engine: Engine) -> Engine:
    """Return a CRM with rejects of two runs: the later one adds rejects of the same rule and of another one."""
    first, second = a_run("r1"), a_run("r2")
    runs.begin(crm_engine, first, ["location"])
    load(crm_engine, rejects=[a_reject(f"a{at:03}") for at in range(PAGE + 10)], run=first)
    runs.begin(crm_engine, second, ["location"])
    more = [a_reject(f"b{at:03}") for at in range(5)] + [a_reject("a000", rule="pattern", column=None)]
    load(crm_engine, rejects=[a_reject("a000"), *more], run=second)
    return crm_engine


def all_pages(engine: Engine, criteria: RejectFilter) -> list[tuple[str, str]]:
    found, after = [], None
    with reading(engine) as connection:
        while True:
            page = rejects.page(connection, criteria, after)
            found += [(row["ecw_id"], row["rule"]) for row in page.rejects]
            if (after := page.next) is None:
                return found


def test_each_group_counts_the_rejects_of_its_pages(filled: Engine) -> None:
    with reading(filled) as connection:
        groups = rejects.groups(connection, "P1")
        started = connection.execute(text("SELECT run_id FROM ecw_run ORDER BY started_at")).scalars().all()
    assert [(one.rule, one.column, one.records) for one in groups] == [
        ("required", "name", PAGE + 15),
        ("pattern", "", 1),
    ]
    assert started == ["r1", "r2"]
    for one in groups:
        criteria = RejectFilter("P1", resource=one.resource, step=one.step, rule=one.rule, column=one.column)
        listed = all_pages(filled, criteria)
        assert len(listed) == len(set(listed)) == one.records
    assert len(all_pages(filled, RejectFilter("P1"))) == sum(one.records for one in groups)


def test_a_group_s_oldest_time_is_the_start_of_its_first_run(filled: Engine) -> None:
    with reading(filled) as connection:
        [required, pattern] = rejects.groups(connection, "P1")
    assert required.oldest is not None
    assert pattern.oldest is not None
    assert pattern.oldest - required.oldest > timedelta(0)


def test_rejects_are_filtered_by_run_and_by_record(filled: Engine) -> None:
    assert all_pages(filled, RejectFilter("P1", run="r2")) == [
        ("a000", "pattern"),
        *((f"{name}", "required") for name in ("a000", "b000", "b001", "b002", "b003", "b004")),
    ]
    assert all_pages(filled, RejectFilter("P1", record="b004")) == [("b004", "required")]
    assert all_pages(filled, RejectFilter("P2")) == []


def test_dismissed_rejects_are_counted_apart_from_open_ones(filled: Engine) -> None:
    assert dismiss(filled, "P1", "location", ["a001"], "anna", "why not") == 1
    with reading(filled) as connection:
        assert rejects.groups(connection, "P1", "dismissed") == [
            Group("location", "map", "required", "name", 1, rejects.groups(connection, "P1")[0].oldest)
        ]
    assert ("a001", "required") not in all_pages(filled, RejectFilter("P1"))
    assert all_pages(filled, RejectFilter("P1", state="dismissed")) == [("a001", "required")]


def test_groups_are_counted_from_an_index_only(crm_engine: Engine) -> None:
    if crm_engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL decides by its statistics: make bench times both")
    statement = rejects.groups_statement("P1", "open").compile(crm_engine, compile_kwargs={"literal_binds": True})
    with reading(crm_engine) as connection:
        plan = " ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}"))
    assert "COVERING INDEX ecw_reject_groups" in plan
