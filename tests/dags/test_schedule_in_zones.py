"""When Airflow starts the pull: whatever its own time zone, across a change of the clock, and after a pause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
import time_machine
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction

from tests.dags.test_dags import dags

PULL = "ecw_pull"
EVERY = timedelta(hours=2)


def next_run(last: DataInterval | None) -> DagRunInfo:
    """Return the run that Airflow's scheduler makes next, as the DAG asks for it."""
    dag = dags()[PULL]
    start = dag.start_date
    assert start is not None
    earliest = pendulum.instance(start)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=dag.catchup)
    found = coerce_to_core_timetable(dag.timetable).next_dagrun_info(
        last_automated_data_interval=last, restriction=restriction
    )
    assert found is not None
    return found


def interval(start: datetime) -> DataInterval:
    begin = pendulum.instance(start)
    return DataInterval(begin, begin + EVERY)


@pytest.mark.parametrize("change", [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)])
def test_the_intervals_meet_without_gap_or_overlap_where_clocks_change(change: datetime) -> None:
    """In New York an hour is missing that day, or comes twice: a schedule in local time would lose or double one."""
    last = interval(change - timedelta(hours=12))
    for _ in range(24):
        with time_machine.travel(last.end + EVERY + timedelta(minutes=1), tick=False):
            found = next_run(last).data_interval
        assert found.start == last.end
        assert found.end - found.start == EVERY
        last = found
    assert last.end == change + timedelta(hours=38)


def test_after_a_pause_one_run_comes_for_the_newest_interval() -> None:
    """It covers what was missed, from the cursor on: no run of each missed interval, and none twice."""
    now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        found = next_run(interval(now - timedelta(days=5)))
        assert found.data_interval.end == datetime(2026, 11, 22, 12, tzinfo=UTC)
        following = next_run(found.data_interval)
        assert following.data_interval.start == found.data_interval.end
        assert following.run_after > now, "nothing else is due"


def test_a_pool_of_one_suffices() -> None:
    """A task that holds a slot of the pool waits for none that needs one: `begin`, which waits, has none."""
    dag = dags()[PULL]
    in_pool = {task.task_id for task in dag.tasks if task.pool == "ecw_api"}
    assert in_pool
    assert all(dag.get_task(task_id).pool_slots == 1 for task_id in in_pool)
    assert dag.get_task("begin").pool != "ecw_api", "it waits for other runs, and would hold their slot"
