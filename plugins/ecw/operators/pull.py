"""The steps that need more of Airflow than a function has: begin, which skips, and extract, which waits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.exceptions import AirflowSkipException

from ecw.errors import ConcurrentRun, SnapshotPending
from ecw.models import Batch, PullRequest, Run
from ecw.pull import steps
from ecw.pull.airflow_run import begins_first, require_not_marked
from ecw.settings.practice import DEFAULT_CONNECTION
from ecw.settings.practices import of_connection
from ecw.settings.pull import of_form

if TYPE_CHECKING:
    from airflow.sdk import Context

LOOK_AGAIN = timedelta(seconds=20)  # whether the run that another one waits for is over


class BeginOperator(BaseOperator, SkipMixin):
    """Run `steps.begin`; what it returns is the run, and what the run is not about is skipped.

    The form is read here and not rendered by a template: it may name patients, and templates are shown.  Of what a
    trigger sends beside it (`dag_run.conf` holds anything) nothing is taken.  `ecw_conn_id` is the
    practice's connection.
    """

    def __init__(self, *, ecw_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ecw_conn_id = ecw_conn_id

    def execute(self, context: Context) -> Run:
        """Begin, or begin to wait."""
        if begins_first(context["ti"], context["dag_run"]):
            practice = of_connection(self.ecw_conn_id)
            run_id = context["dag_run"].run_id
            steps.archive_earlier_run(run_id, "pull", practice.connection, practice.crm_connection)
        return self.go_on(context)

    def go_on(self, context: Context, event: Any = None) -> Run:
        """Begin, or wait once more, without a process, for another run; a backfill's fetching may take hours.

        Skipped tasks take no process, so a run about one patient is at work within seconds.
        """
        dag_run, ti = context["dag_run"], context["ti"]

        def goes_on(run_id: str) -> bool:
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
            run = steps.begin(request, goes_on)
        except (ConcurrentRun, SnapshotPending) as ahead:
            from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

            self.log.info("%s", ahead)
            self.defer(trigger=TimeDeltaTrigger(LOOK_AGAIN), method_name="go_on")
        context["ti"].xcom_push("return_value", run)  # skipping is an exception: nothing is returned then
        groups = set(steps.left_out(run))
        left_out = [task for task in self.dag.tasks if task.task_id.split(".")[0] in groups]
        self.skip(context["ti"], left_out)
        return run


class ExtractOperator(BaseOperator):
    """Run `steps.extract`; what it returns is the batch."""

    template_fields = ("pull",)

    def __init__(self, *, pull: Run | None, resource_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pull = pull
        self.resource_name = resource_name

    def execute(self, context: Context) -> Batch:
        """Extract, or begin to wait."""
        return self.go_on(context)

    def go_on(self, context: Context, event: Any = None) -> Batch:
        """Extract, or wait once more."""
        if self.pull is None:
            require_not_marked("begin", context["ti"], context["dag_run"])
            raise AirflowSkipException("The run did not begin.")
        found = steps.extract_or_wait(self.pull, self.resource_name)
        if isinstance(found, float):
            from ecw.operators.export_trigger import ExportTrigger

            self.defer(trigger=ExportTrigger(self.pull, self.resource_name, found), method_name="go_on")
        return found
