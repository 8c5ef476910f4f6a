"""
### Replays rejected records

Use it after you fixed a mapping, a crosswalk or a rule. Press *Trigger* and choose by resource, rule, run or eCW id
(nothing chosen: every open reject). The records go through map, check and load again, in the order in which they were
fetched. They are read from the staging area: eCW is not called, no cursor moves, and newer values in the CRM stay.

| step | what it does | where it can stop |
| --- | --- | --- |
| `collect` | finds the records in the batches of the runs that rejected them | the staging area is missing |
| `map`, `check`, `load` | as in `ecw_pull`; what is still wrong stays rejected | as in `ecw_pull` |

`summary` always runs: its log and its return value show the counts of each resource. *fetched* counts the replayed
records. A resource without a chosen open reject is skipped (pink).

### When something is red

1. Read the last line of the failed task: it ends with *Next (who): what to do*.
2. `begin` red: no open reject has the rule, run or id of the form; the line names the existing ones.
3. `summary` names **records that are no longer staged** (the variable `ecw_staging_days` sets how long they are kept):
   pull them by their ids with the form of `ecw_pull`.
4. Still rejected after the replay: the fix does not cover them. `ecw status` names the reasons.

From a terminal: `ecw replay`.
"""

from __future__ import annotations

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task

from ecw.operators import assets
from ecw.operators.defaults import task_defaults
from ecw.operators.form import give
from ecw.operators.replay_params import PARAMS
from ecw.pull import steps
from ecw.pull.replay import steps as replay
from ecw.resources import RESOURCES
from ecw.settings.practice import Practice
from ecw.settings.practices import practices


def ecw_replay(practice: Practice) -> None:
    run = task(replay.begin_by_form, task_id="begin")(practice.connection)
    groups = {}
    for resource in RESOURCES.values():
        with TaskGroup(resource.name) as groups[resource.name]:
            # all_done: a failed or skipped resource does not block the resources after it.
            collected = task(replay.collect_or_skip, task_id="collect", trigger_rule="all_done")(run, resource.name)
            mapped = task(steps.map)(collected)
            checked = task(steps.check)(mapped)
            task(assets.load, outlets=[assets.changed(resource.name, practice)])(checked)
        for needed in resource.needs:
            groups[needed] >> groups[resource.name]
    # The run is red when any part of it is: `complete` fails with the first failed part. `summary` waits for all.
    parts = [*groups.values()]
    complete = EmptyOperator(task_id="complete", trigger_rule="none_failed")
    summary = task(replay.summary, trigger_rule="all_done")(run).as_teardown()
    [run, *parts] >> complete >> summary
    parts >> summary


for practice in practices():
    with DAG(
        practice.dag_id("ecw_replay"),
        schedule=None,
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        max_active_runs=1,
        default_args=task_defaults(),
        doc_md=__doc__,
        tags=["ecw", "pull", *practice.tags],
    ) as dag:
        ecw_replay(practice)
        give(dag, PARAMS)
