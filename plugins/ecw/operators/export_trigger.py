"""The trigger that waits for a bulk export without a worker's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from ecw.models import Run


class ExportTrigger(BaseTrigger):
    """Wait `seconds`, then resume the task, which asks eCW for the export's status with one call."""

    def __init__(self, pull: Run, resource_name: str, seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.pull = pull
        self.resource_name = resource_name
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that recreate the trigger in another process."""
        kwargs = {"pull": self.pull, "resource_name": self.resource_name, "seconds": self.seconds}
        return "ecw.operators.export_trigger.ExportTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then resume the task."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent("ask")  # type: ignore[no-untyped-call]  # Airflow's

    async def on_kill(self) -> None:
        """Cancel the export when a person clears or fails the waiting task: eCW runs one export at a time."""
        await sync_to_async(cancel)(self.pull, self.resource_name)


def cancel(run: Run, resource_name: str) -> None:
    """Cancel the run's export of a resource."""
    from ecw.crm.db.engine import open_crm
    from ecw.practice.client import client_of
    from ecw.pull.extract import bulk_export

    with open_crm(run["crm_conn_id"]) as engine:
        bulk_export.cancel(run, resource_name, client_of(run, engine))
