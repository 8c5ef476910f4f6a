"""
### Verification of benefits

Runs after the pulls. When a pull changes a patient's insurance, or a demographic field that payers ask for, it adds a
request to the CRM's table `vob_request`: one per patient and load, with the names of the changed fields, never values.
If the connection `vob_webhook` (type HTTP) exists, it also POSTs each request there, once.

| step | what it does | where it can stop |
| --- | --- | --- |
| `open_vob` | opens requests for the changes in the journal that it has not read yet | `vob_request` lacks a column |
| `deliver` | POSTs the waiting requests, the oldest first | the receiver is down, moved, or refuses |

It starts when the asset `ecw_insurance` or `ecw_patient` has an event, and once a day for what is left. A missed
event loses nothing. Insurance that is fetched for the first time opens no requests. A load that would open more than
500 requests opens none. The log reports both cases, and the form opens the requests of such a run later.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*.
2. `open_vob` red: the CRM's own table `vob_request` lacks a column; the line names every missing column.
3. `deliver` **retried by itself** (yellow): the receiver is down. Undelivered requests wait for a later try or run,
   under the same `Idempotency-Key`.
4. `deliver` red: the connection is wrong, or the receiver refuses a request; `vob_request.delivery_note` has its
   answer. Fix the cause, set `delivery` of the refused requests to `waiting`, and trigger the DAG.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, task

from ecw.operators import assets
from ecw.operators.defaults import task_defaults
from ecw.settings.practice import Practice
from ecw.settings.practices import practices
from ecw.vob import steps


def crm_vob(practice: Practice) -> None:
    task(steps.open_by_form, task_id="open_vob")(practice.connection) >> task(steps.deliver_of, task_id="deliver")(
        practice.connection
    )


for practice in practices():
    with DAG(
        practice.dag_id("crm_vob"),
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("15 5 * * *", timezone="UTC"),
            assets=assets.asset("insurance", practice) | assets.asset("patient", practice),
        ),
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=1,
        default_args=task_defaults(),
        params={
            "of_run": Param(
                "",
                type="string",
                title="Open the requests that this run left out",
                description="The id of a pull that opened no requests: an initial sync, or too many changes at once.",
            )
        },
        doc_md=__doc__,
        tags=["ecw", "crm", *practice.tags],
    ) as dag:
        crm_vob(practice)
