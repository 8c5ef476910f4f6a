"""The steps that need more of Airflow than a function has: begin, which reads the form, and send, which reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ecw.models import Push
from ecw.operators import lineage
from ecw.push import steps

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

    The form is read here and not rendered by a template: it may name patients, and templates are shown.
    """

    def execute(self, context: Context) -> Push:
        """Begin."""
        dag_run = context["dag_run"]
        return steps.begin(dag_run.run_id, dag_run.run_type.value, options=dict(context["params"]))
