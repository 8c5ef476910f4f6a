"""Windows leave no gap, whichever runs fail, are missing or overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from ecw.crm.state import cursors
from ecw.models import Run
from ecw.pull.plan.window import start_of, window
from tests.fixtures.crm import on_sqlite
from tests.fixtures.examples import examples

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
HOUR = timedelta(hours=1)
RESOURCES = ["location", "patient"]


def a_run(run_type: str, start: str | None, end: str) -> Run:
    return Run(
        practice="P",
        run_id="r",
        run_type=run_type,
        mode="changes",
        window_start=start,
        window_end=end,
        ecw_conn_id="",
        crm_conn_id="",
        staging="",
    )


def at(hour: int) -> str:
    return (BEGIN + hour * HOUR).isoformat()


# Each run: its type, the hour in which its interval ends, and the resources that it loads.
runs = st.lists(
    st.tuples(
        st.sampled_from(["scheduled", "scheduled", "backfill"]),
        st.integers(2, 40),
        st.sets(st.sampled_from(RESOURCES)),
    ),
    max_size=12,
)


@on_sqlite
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=runs)
def test_all_time_before_the_cursor_was_covered_without_a_gap(crm_engine: Engine, runs: list) -> None:  # type: ignore[type-arg]
    with crm_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ecw_cursor")
    covered: dict[str, list[tuple[datetime, datetime]]] = {name: [] for name in RESOURCES}
    for run_type, hour, loaded in runs:
        start, end = window(crm_engine, "P", run_type, at(hour - 2), at(hour), RESOURCES)
        run = a_run(run_type, start, end)
        assert start is None or start <= end
        if run_type == "backfill":
            assert (start, end) == (at(hour - 2), at(hour)), "exactly its interval"
        for name in loaded:
            before = cursors.get(crm_engine, "P", name)
            own_start = start if run_type == "backfill" else start_of(crm_engine, run, name)
            low = datetime.min.replace(tzinfo=UTC) if own_start is None else datetime.fromisoformat(own_start)
            covered[name].append((low, datetime.fromisoformat(end)))
            with crm_engine.begin() as connection:
                cursors.move(connection, run, name)
            after = cursors.get(crm_engine, "P", name)
            assert before is None or (after is not None and after >= before), "never backwards"
            assert run_type != "backfill" or after == before
    for name in RESOURCES:
        position = cursors.get(crm_engine, "P", name)
        if position is None:
            continue
        reached = datetime.min.replace(tzinfo=UTC)
        for low, high in sorted(covered[name]):
            if low > reached:
                break
            reached = max(reached, high)
        assert reached >= position, f"a gap before the cursor of {name}"


@pytest.mark.parametrize("run_type", ["manual", "asset_triggered", "operator_triggered"])
def test_the_window_of_a_run_that_was_not_scheduled_ends_now(crm_engine: Engine, run_type: str) -> None:
    before = datetime.now(UTC)
    _, end = window(crm_engine, "P", run_type, at(0), at(2), RESOURCES)
    assert before <= datetime.fromisoformat(end) <= datetime.now(UTC)


def test_after_an_outage_of_three_days_one_window_covers_it(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        for name in RESOURCES:
            cursors.move(connection, a_run("scheduled", None, at(2)), name)

    assert window(crm_engine, "P", "scheduled", at(72), at(74), RESOURCES) == (at(2), at(74))


def test_the_window_depends_only_on_the_cursors_of_the_runs_resources(crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        cursors.move(connection, a_run("scheduled", None, at(2)), "location")

    assert window(crm_engine, "P", "scheduled", at(4), at(6), ["location"])[0] == at(2)
    assert window(crm_engine, "P", "scheduled", at(4), at(6), RESOURCES)[0] is None
