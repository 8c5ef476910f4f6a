"""The extract step as an operator: it gives its worker back while eCW makes an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ecw.pull import steps
from ecw.words import Batch, Run

if TYPE_CHECKING:
    from airflow.sdk import Context


class ExtractOperator(BaseOperator):
    """Run `steps.extract`; what it returns is the batch."""

    template_fields = ("pull",)

    def __init__(self, *, pull: Run, resource_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pull = pull
        self.resource_name = resource_name

    def execute(self, context: Context) -> Batch:
        """Extract, or begin to wait."""
        return self.go_on(context)

    def go_on(self, context: Context, event: Any = None) -> Batch:
        """Extract, or wait once more."""
        found = steps.extract_or_wait(self.pull, self.resource_name)
        if isinstance(found, float):
            from ecw.pull.trigger import ExportTrigger

            self.defer(trigger=ExportTrigger(self.pull, self.resource_name, found), method_name="go_on")
        return found
