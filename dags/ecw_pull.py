"""
### eCW → CRM, by schedule and on demand

Pulls the resources that `ecw/resources.py` lists from eClinicalWorks into the CRM. Per resource:

| step | what it does | where it can stop |
| --- | --- | --- |
| `extract` | fetches the records from eCW and stages them | eCW is down or refuses, the quota is used up |
| `map` | drops unchanged records, turns the others into rows | a mapping file is wrong |
| `check` | decides which rows may be loaded | a rule with `stop` |
| `load` | writes rows, links, rejects, cursor and counts in one transaction | the CRM's database |

`begin` reads the form, refuses contradictory values, and skips resources that the run does not cover. It waits while
another run is active, unless the run is about a few records: then `inline` does all steps in one process. `summary`
always runs: its log and its return value show the counts of each resource, and the next step if something is wrong.
It also sends the notifications of the variable `ecw_alerts`; between runs, the DAG `ecw_monitor` sends them.

The variables `ecw_pull_schedule` (cron) and `ecw_pull_resources` set how often it runs and what it pulls.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*.
2. **Retried by itself** (yellow): eCW answered 5xx, 429 or not at all. Do nothing; Airflow retries three times.
3. **Failed at once** (red): a person must do what the line says. Then *Clear* the resource's group; a second load
   changes nothing. If `begin` refused a form, trigger another run instead.
4. `extract` stays *scheduled*: the pool `ecw_api` is missing. Run `ecw settings apply --only pools`.
5. A missed interval needs no backfill: the next run covers everything since the last successful one.
6. A *Dag Import Error* that names `ecw_pull_schedule`: fix the variable; the next run fetches what was missed.

On demand: press *Trigger*. From a terminal: `ecw pull`, `ecw status`, `ecw check`.
"""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, TaskGroup, task

from ecw.operators import assets
from ecw.operators.defaults import task_defaults
from ecw.operators.form import give
from ecw.operators.pull import BeginOperator, ExtractOperator
from ecw.operators.pull_params import PARAMS
from ecw.pull import steps
from ecw.resources import RESOURCES
from ecw.settings.practice import Practice
from ecw.settings.practices import practices
from ecw.settings.schedule import cron_of_dag


def ecw_pull(practice: Practice) -> None:
    run = BeginOperator(task_id="begin", ecw_conn_id=practice.connection).output
    groups = {}
    for resource in RESOURCES.values():
        with TaskGroup(resource.name) as groups[resource.name]:
            # all_done: a failed or skipped resource does not block the resources after it.
            extracted = ExtractOperator(
                task_id="extract", pool=practice.pool, pull=run, resource_name=resource.name, trigger_rule="all_done"
            ).output
            mapped = task(steps.map)(extracted)
            checked = task(steps.check)(mapped)
            task(assets.load, outlets=[assets.changed(resource.name, practice)])(checked)
        for needed in resource.needs:
            groups[needed] >> groups[resource.name]
    outlets = [assets.changed(name, practice) for name in RESOURCES]
    inline = task(assets.inline, pool=practice.pool, priority_weight=100, outlets=outlets)(run)
    # The run is red when any part of it is: `complete` fails with the first failed part. `summary` waits for all.
    parts = [*groups.values(), inline]
    complete = EmptyOperator(task_id="complete", trigger_rule="none_failed")
    summary = task(steps.summary, trigger_rule="all_done")(run, practice.crm_connection).as_teardown()
    [run, *parts] >> complete >> summary
    parts >> summary


for practice in practices():
    with DAG(
        practice.dag_id("ecw_pull"),
        schedule=CronDataIntervalTimetable(cron_of_dag(practice), timezone="UTC"),
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=16,  # a run about a few patients never waits, not even behind runs that wait in `begin`
        default_args=task_defaults(hours=24),
        doc_md=__doc__,
        tags=["ecw", "pull", *practice.tags],
    ) as dag:
        ecw_pull(practice)
        give(dag, PARAMS)
