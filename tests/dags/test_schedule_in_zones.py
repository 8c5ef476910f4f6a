"""When Airflow starts the pull: in any time zone, when clocks change, and after a pause."""

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
    """Return the run that Airflow's scheduler would create next for the DAG's timetable."""
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
def test_intervals_have_no_gap_and_no_overlap_when_clocks_change(change: datetime) -> None:
    """New York's clocks skip or repeat an hour that day: a schedule in local time would lose or repeat an interval."""
    last = interval(change - timedelta(hours=12))
    for _ in range(24):
        with time_machine.travel(last.end + EVERY + timedelta(minutes=1), tick=False):
            found = next_run(last).data_interval
        assert found.start == last.end
        assert found.end - found.start == EVERY
        last = found
    assert last.end == change + timedelta(hours=38)


def test_after_a_pause_one_run_is_created_for_the_newest_interval() -> None:
    """That run covers the pause, because it fetches from the cursor on: no run is created for each missed interval."""
    now = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        found = next_run(interval(now - timedelta(days=5)))
        assert found.data_interval.end == datetime(2026, 11, 22, 12, tzinfo=UTC)
        following = next_run(found.data_interval)
        assert following.data_interval.start == found.data_interval.end
        assert following.run_after > now, "nothing else is due"


def test_a_pool_of_one_slot_is_enough() -> None:
    """No task that holds a slot waits for a task that needs one: `begin` waits, and is outside the pool."""
    dag = dags()[PULL]
    in_pool = {task.task_id for task in dag.tasks if task.pool == "ecw_api"}
    assert in_pool
    assert all(dag.get_task(task_id).pool_slots == 1 for task_id in in_pool)
    assert dag.get_task("begin").pool != "ecw_api", "it waits for other runs, and would hold their slot"
