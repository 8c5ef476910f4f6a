"""
### Verification of benefits

Follows what pulls change: when a patient's insurance, or what a payer asks for of the patient, has changed, it opens a
request in the CRM's table `vob_request`: one for each patient and load, with the names of what changed, never values.
With a connection `vob_webhook` (type HTTP) each request is posted there, once.

| step | what it does | where it can stop |
| --- | --- | --- |
| `open_vob` | looks at every change of the journal that it has not seen yet | the CRM's table `vob_request` |
| `deliver` | posts the requests that wait, the oldest first | the receiver: down, refused, moved |

It starts when the asset `ecw_insurance` or `ecw_patient` has an event, and once a day for what is left. A missed
event loses nothing. What the first look at a patient's insurance brings opens none, nor does a load that would open
more than 500: the log says so, and the form opens those of a run after all.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*.
2. `open_vob`: the CRM's own `vob_request` lacks a column; the line names all that are in the way.
3. `deliver` **retried by itself** (yellow): the receiver is down. What was not delivered waits, and goes with a later
   try or run, under the same `Idempotency-Key`.
4. `deliver` red: the connection is wrong, or the receiver does not take a request: `vob_request.delivery_note` says how
   it answered. After fixing, set `delivery` to `waiting` where it is `refused`, and trigger.
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
                title="Of this run after all",
                description="The id of a pull whose changes were passed over, as a first look or as too many at once.",
            )
        },
        doc_md=__doc__,
        tags=["ecw", "crm", *practice.tags],
    ) as dag:
        crm_vob(practice)
