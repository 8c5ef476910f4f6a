"""The push's steps that need Airflow: begin reads the Trigger form, and send reports to OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ecw.models import Push, PushRequest, RunKind
from ecw.operators import lineage
from ecw.pull.airflow_run import begins_first
from ecw.pull.steps import archive_earlier_run
from ecw.push import steps
from ecw.settings.practice import DEFAULT_CONNECTION
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from airflow.sdk import Context


def send(push: Push, approval: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Run `steps.send`, and report the written patients to OpenLineage."""
    counts = steps.send(push, approval)
    if not push["options"]["dry_run"]:
        lineage.report_push(push, counts)
    return counts


class BeginOperator(BaseOperator):
    """Run `steps.begin` and return the run.

    The form is read here and not rendered by a template, because it may name patients, and Airflow shows rendered
    templates.  `ecw_conn_id` is the practice's connection.
    """

    def __init__(self, *, ecw_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ecw_conn_id = ecw_conn_id

    def execute(self, context: Context) -> Push:
        """Archive an earlier run under the same id, then begin the run."""
        dag_run = context["dag_run"]
        practice = of_connection(self.ecw_conn_id)
        if begins_first(context["ti"], dag_run):
            archive_earlier_run(dag_run.run_id, RunKind.PUSH, practice.connection, practice.crm_connection)
        return steps.begin(
            PushRequest(
                run_id=dag_run.run_id,
                run_type=dag_run.run_type.value,
                ecw_conn_id=practice.connection,
                crm_conn_id=practice.crm_connection,
                options=dict(context["params"]),
            )
        )
