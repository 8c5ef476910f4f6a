"""
### CRM → eCW, when a patient changes

Pushes patients whose demographics differ from what the CRM and eCW last agreed on. A change in the CRM starts a run
within a minute; *Trigger* starts one by hand, for all patients or for those that its form names.

| step | what it does | where it can stop |
| --- | --- | --- |
| `begin` | finds the patients to push in the CRM; reads once what eCW supports | a form or a setting is wrong |
| `approve` | asks a person if there are more than usual; without an approval nothing is sent | waits up to a day |
| `send` | resolves unknown outcomes, then sends patients in parallel | eCW is down or refuses, the quota is used up |
| `confirm` | reads back what was written, so that the next pull does not count it as a change | eCW is down |

`summary` always runs. Its log and its return value show how many patients were created, updated, rejected and held, and
the next step for each patient that needs a person. No patient is created twice: every request is recorded before it is
sent, and an unknown outcome is searched for before anything is sent again.

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*.
2. **Retried by itself** (yellow): eCW answered 5xx, 429 or not at all. Do nothing; the retry continues where it was.
3. **Failed at once** (red): a person must do what the line says; then *Clear* the task.
4. **Stop at once**: set the Variable `ecw_push_kill_switch` to 1. It is read before every request. Remove it to
   continue.
5. `approve` waits: *Browse → Required Actions*. Nothing is pushed until somebody answers.
6. No run starts by itself: is the DAG unpaused, the triggerer up, and the Variable `ecw_push_auto_start` not 0?

Held patients: `ecw matches`. Fields that both sides changed: `ecw conflicts`. From a terminal: `ecw push`.
"""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

from ecw.operators.approval import ApprovePush
from ecw.operators.assets import outbox
from ecw.operators.defaults import task_defaults
from ecw.operators.form import give
from ecw.operators.push import BeginOperator, send
from ecw.operators.push_params import PARAMS
from ecw.push import steps
from ecw.settings.practice import Practice
from ecw.settings.practices import pushing


def ecw_push_patients(practice: Practice) -> None:
    push = BeginOperator(task_id="begin", ecw_conn_id=practice.connection).output
    approval = ApprovePush(task_id="approve", push=push).output
    sent = task(send, pool=practice.pool)(push, approval)
    confirmed = task(steps.confirm, pool=practice.pool, trigger_rule="all_done")(push)
    # The run is red when any part of it is: `complete` fails with the first failed part. `summary` waits for all.
    complete = EmptyOperator(task_id="complete", trigger_rule="none_failed")
    summary = task(steps.summary, trigger_rule="all_done")(push).as_teardown()
    sent >> confirmed >> summary
    [push, sent, confirmed] >> complete >> summary


for practice in pushing():
    with DAG(
        practice.dag_id("ecw_push_patients"),
        schedule=[outbox(practice)],
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=4,  # a run that waits for an approval does not block the next ones
        default_args=task_defaults(hours=24),
        doc_md=__doc__,
        tags=["ecw", "push", *practice.tags],
    ) as dag:
        ecw_push_patients(practice)
        give(dag, PARAMS)
