"""The step that needs more of Airflow than a function has: begin, which reads the form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ecw.models import Push
from ecw.push import steps
from ecw.settings.practice import DEFAULT_CONNECTION
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from airflow.sdk import Context


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
        return steps.begin(
            dag_run.run_id,
            dag_run.run_type.value,
            practice.connection,
            practice.crm_connection,
            options=dict(context["params"]),
        )
