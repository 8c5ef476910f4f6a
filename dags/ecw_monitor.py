"""
### What is wrong, noticed although no run notices it

Every half hour, `watch` looks into the CRM's tables: a resource not refreshed for three intervals, numbers that do not
add up, far fewer records than usual, a resource that a quality rule stopped, too many rejects. It sends one notice when
that begins and one when it is over. `ecw_pull` does the same after each of its runs; this DAG is for the time when
`ecw_pull` is paused, stuck or cannot begin.

`tidy` removes what is older than it is to be kept: staged runs (`ecw_staging_days`), the Integration Logs
(`ecw_journal_days`), quality reports (`ecw_quality_days`), alerts that are over (`ecw_notice_days`).

`metrics` sends the state of each practice to Airflow's own metrics: see docs/reference/metrics.md.

Who is notified is the variable `ecw_alerts`, for instance
`{"webhook": "alerts_http", "email": ["oncall@example.org"], "stale_intervals": 3}`;
without it, the log and `ecw status`.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*; mostly the variable is written wrongly.
2. **Green, but nothing arrives**: the log says which connection did not answer. The notice is sent by the next run.
3. Airflow's scheduler itself being down is noticed by nobody inside Airflow: watch its `/api/v2/monitor/health`.
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
    tags=["ecw", "watch"],
)
def ecw_monitor() -> None:
    for suffix, conn_id in crms().items():
        task(steps.watch, task_id=f"watch{suffix}")(conn_id)
        task(steps.tidy, task_id=f"tidy{suffix}")(conn_id)
        task(metrics.emit, task_id=f"metrics{suffix}")(conn_id)


ecw_monitor()
