"""The pull's steps that are operators, not functions: begin skips other tasks, and extract can wait."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException

from ecw.errors import ConcurrentRun, SnapshotPending
from ecw.models import Batch, PullRequest, Run, RunKind
from ecw.pull import steps
from ecw.pull.airflow_run import begins_first, require_not_marked
from ecw.settings.practice import DEFAULT_CONNECTION
from ecw.settings.practices import of_connection
from ecw.settings.pull import of_form

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_AGAIN = timedelta(seconds=20)  # between two checks whether the run ahead has ended


class BeginOperator(BaseOperator, SkipMixin):
    """Run `steps.begin`, return the run, and skip the resources that the run does not cover.

    The form is read here and not rendered by a template, because it may name patients, and Airflow shows rendered
    templates.  Other keys that a trigger sends in `dag_run.conf` are ignored.  `ecw_conn_id` is the practice's
    connection.
    """

    def __init__(self, *, ecw_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ecw_conn_id = ecw_conn_id

    def execute(self, context: Context) -> Run:
        """Archive an earlier run under the same id, then begin the run or wait."""
        if begins_first(context["ti"], context["dag_run"]):
            practice = of_connection(self.ecw_conn_id)
            run_id = context["dag_run"].run_id
            steps.archive_earlier_run(run_id, RunKind.PULL, practice.connection, practice.crm_connection)
        return self.go_on(context)

    def go_on(self, context: Context, event: Any = None) -> Run:
        """Begin, or wait in the triggerer for another run: the extract of a backfill may take hours.

        Skipped tasks start no process, so a run about one patient begins its work within seconds.
        """
        dag_run, ti = context["dag_run"], context["ti"]

        def is_running(run_id: str) -> bool:
            return ti.get_dr_count(dag_run.dag_id, run_ids=[run_id], states=["running"]) > 0

        practice = of_connection(self.ecw_conn_id)
        start, end = dag_run.data_interval_start, dag_run.data_interval_end
        try:
            request = PullRequest(
                run_id=dag_run.run_id,
                run_type=dag_run.run_type.value,
                window_start=start.isoformat() if start else None,
                window_end=end.isoformat() if end else "",
                ecw_conn_id=practice.connection,
                crm_conn_id=practice.crm_connection,
                staging=practice.staging,
                options=of_form(context["params"]),
            )
            run = steps.begin(request, is_running)
        except (ConcurrentRun, SnapshotPending) as ahead:
            from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

            self.log.info("%s", ahead)
            self.defer(trigger=TimeDeltaTrigger(LOOK_AGAIN), method_name="go_on")
        context["ti"].xcom_push("return_value", run)  # before `skip`, which raises: nothing is returned then
        groups = set(steps.left_out(run))
        skipped = [task for task in self.dag.tasks if task.task_id.split(".")[0] in groups]
        self.skip(context["ti"], skipped)
        return run


class ExtractOperator(BaseOperator):
    """Run `steps.extract` and return the batch."""

    template_fields = ("pull",)

    def __init__(self, *, pull: Run | None, resource_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pull = pull
        self.resource_name = resource_name

    def execute(self, context: Context) -> Batch:
        """Extract, or wait for a bulk export."""
        return self.go_on(context)

    def go_on(self, context: Context, event: Any = None) -> Batch:
        """Extract, or wait again."""
        if self.pull is None:
            require_not_marked("begin", context["ti"], context["dag_run"])
            raise AirflowSkipException("The run did not begin.")
        batch_or_seconds = steps.extract_or_wait(self.pull, self.resource_name)
        if isinstance(batch_or_seconds, float):
            from ecw.operators.export_trigger import ExportTrigger

            trigger = ExportTrigger(self.pull, self.resource_name, batch_or_seconds)
            self.defer(trigger=trigger, method_name="go_on")
        return batch_or_seconds
