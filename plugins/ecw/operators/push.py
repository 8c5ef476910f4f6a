"""The steps that need more of Airflow than a function has: begin, which reads the form, and send, which reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ecw.models import Push
from ecw.operators import lineage
from ecw.pull.airflow_run import begins_first
from ecw.pull.steps import archive_earlier_run
from ecw.push import steps
from ecw.settings.practice import DEFAULT_CONNECTION
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from airflow.sdk import Context


def send(push: Push, approval: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Do what `steps.send` does, and report to OpenLineage what was written."""
    counts = steps.send(push, approval)
    if not push["options"]["dry_run"]:
        lineage.report_push(push, counts)
    return counts


class BeginOperator(BaseOperator):
    """Run `steps.begin`; what it returns is the run.

    The form is read here and not rendered by a template: it may name patients, and templates are shown.  `ecw_conn_id`
    is the practice's connection.
    """

    def __init__(self, *, ecw_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ecw_conn_id = ecw_conn_id

    def execute(self, context: Context) -> Push:
        """Begin."""
        dag_run = context["dag_run"]
        practice = of_connection(self.ecw_conn_id)
        if begins_first(context["ti"], dag_run):
            archive_earlier_run(dag_run.run_id, "push", practice.connection, practice.crm_connection)
        return steps.begin(
            dag_run.run_id,
            dag_run.run_type.value,
            practice.connection,
            practice.crm_connection,
            options=dict(context["params"]),
        )
