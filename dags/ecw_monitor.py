"""
### Finds what no run reports

Every half hour, `monitor` reads the CRM's tables and looks for five conditions: a resource was not refreshed for three
intervals, counts do not add up, far fewer records than usual, a quality rule stopped a resource, too many rejects. It
sends one notification when a condition begins and one when it ends. `ecw_pull` does the same after each of its runs;
this DAG covers the time when `ecw_pull` is paused, stuck or cannot begin.

`tidy` deletes data past its retention time: staged runs (`ecw_staging_days`), the Integration Logs
(`ecw_journal_days`), quality reports (`ecw_quality_days`), closed alerts (`ecw_alert_days`).

`metrics` sends the state of each practice to Airflow's own metrics: see docs/reference/metrics.md.

The variable `ecw_alerts` sets who is notified, for instance
`{"webhook": "alerts_http", "email": ["oncall@example.org"], "stale_intervals": 3}`;
without it, alerts are only in the log and in `ecw status`.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*. Usually the variable `ecw_alerts` has
   a mistake.
2. **Green, but no notification arrives**: the log names the connection that did not answer. The next run tries again.
3. No DAG can report that Airflow's scheduler is down: monitor `/api/v2/monitor/health` from outside Airflow.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, task

from ecw.operators.defaults import task_defaults
from ecw.pull import steps
from ecw.reports import metrics
from ecw.settings.practices import crms


@dag(
    schedule="15,45 * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(),
    doc_md=__doc__,
    tags=["ecw", "monitor"],
)
def ecw_monitor() -> None:
    for suffix, conn_id in crms().items():
        task(steps.monitor, task_id=f"monitor{suffix}")(conn_id)
        task(steps.tidy, task_id=f"tidy{suffix}")(conn_id)
        task(metrics.emit, task_id=f"metrics{suffix}")(conn_id)


ecw_monitor()
