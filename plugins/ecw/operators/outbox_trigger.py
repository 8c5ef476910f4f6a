"""The watcher: it notices in the CRM that somebody is to be pushed, and starts ecw_push_patients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from ecw.push.plan.watcher import Watch

EVERY = 10.0  # seconds from one look to the next


class OutboxTrigger(BaseEventTrigger):
    """Look into the CRM every few seconds; an event says how many patients are to be pushed.

    It ends only with the triggerer: an error of the CRM is logged, and it tries again.
    """

    def __init__(
        self, ecw_conn_id: str = "ecw_default", crm_conn_id: str = "crm_default", every: float = EVERY
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's
        self.ecw_conn_id = ecw_conn_id
        self.crm_conn_id = crm_conn_id
        self.every = every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again in another process."""
        kwargs = {"ecw_conn_id": self.ecw_conn_id, "crm_conn_id": self.crm_conn_id, "every": self.every}
        return "ecw.operators.outbox_trigger.OutboxTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, tell, wait."""
        # In threads, the imports too: the triggerer has one loop for all triggers.
        watch = await asyncio.to_thread(_watch, self.ecw_conn_id, self.crm_conn_id)
        try:
            while True:
                if found := await asyncio.to_thread(watch.look):
                    yield TriggerEvent({"patients": found})  # type: ignore[no-untyped-call]  # Airflow's
                await asyncio.sleep(self.every)
        finally:
            watch.close()


def _watch(ecw_conn_id: str, crm_conn_id: str) -> Watch:
    from ecw.push.plan.watcher import Watch

    return Watch(ecw_conn_id, crm_conn_id)
