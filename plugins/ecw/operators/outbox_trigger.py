"""The watcher: it finds patients to push in the CRM and starts ecw_push_patients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from ecw.push.plan.watcher import Watch

EVERY = 10.0  # seconds between two queries of the CRM


class OutboxTrigger(BaseEventTrigger):
    """Query the CRM every `every` seconds; an event has the number of patients to push.

    The trigger runs as long as the triggerer: it logs an error of the CRM and tries again.
    """

    def __init__(
        self, ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", every: float = EVERY
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.ecw_conn_id = ecw_conn_id
        self.crm_conn_id = crm_conn_id
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that recreate the trigger in another process."""
        kwargs = {"ecw_conn_id": self.ecw_conn_id, "crm_conn_id": self.crm_conn_id, "every": self.every}
        return "ecw.operators.outbox_trigger.OutboxTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Query the CRM, yield an event if patients are to be pushed, wait, and repeat."""
        # Imports and queries run in threads: the triggerer has one event loop for all triggers.
        watch = await asyncio.to_thread(_watch, self.ecw_conn_id, self.crm_conn_id)
        try:
            while True:
                if patients := await asyncio.to_thread(watch.look):
                    yield TriggerEvent({"patients": patients})  # type: ignore[no-untyped-call]  # Airflow's
                await asyncio.sleep(self.every)
        finally:
            watch.close()


def _watch(ecw_conn_id: str, crm_conn_id: str) -> Watch:
    from ecw.push.plan.watcher import Watch

    return Watch(ecw_conn_id, crm_conn_id)
