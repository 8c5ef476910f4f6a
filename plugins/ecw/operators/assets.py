"""The assets by which other DAGs follow what a load has changed: `ecw_patient`, `ecw_insurance` and so on.

An outlet that is an asset has an event at every success of its task.  An alias has one only where the task says so, and
a load that changed nothing says nothing.  What a backfill loads is told too; a dry run changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from ecw.operators import lineage
from ecw.pull import steps

if TYPE_CHECKING:
    from ecw.models import Batch, Run

log = logging.getLogger(__name__)


def asset(resource: str) -> Asset:
    """Return the asset of a resource's rows in the CRM, to be put into another DAG's `schedule`."""
    return Asset(f"ecw_{resource}")


def changed(resource: str) -> AssetAlias:
    """Return the outlet of the resource's load."""
    return AssetAlias(f"ecw_{resource}_changed")


def load(batch: Batch, outlet_events: Any = None) -> dict[str, int]:
    """Do what `steps.load` does, and tell the asset what changed, if anything did: rows, or marks on them.

    A task that was killed between the two loads again: the same numbers, nothing written, and the event.
    """
    numbers = steps.load(batch)
    run, resource = batch["run"], batch["resource"]
    if _has_changed(batch, numbers):
        if outlet_events is not None:
            counts = {name: numbers[name] for name in ("inserted", "updated", "rejected")}
            extra = {"practice": run["practice"], "run_id": run["run_id"], **counts}
            outlet_events[changed(resource)].add(asset(resource), extra=extra)
            log.info("The asset ecw_%s has an event.", resource)
        lineage.report_load(run, resource, numbers)
    return numbers


def inline(run: Run, outlet_events: Any = None) -> dict[str, dict[str, int]]:
    """Pull a few records in one task, all steps of all resources, and report the changes to the assets."""
    from ecw.pull.inline_run import pull

    return pull(run, lambda batch: load(batch, outlet_events))


def _has_changed(batch: Batch, numbers: dict[str, int]) -> bool:
    """Return True if the load has changed rows; what a dry run did was taken back.

    A row that is marked, because eCW has its record no more, is among the rejects, and in the journal.
    """
    from ecw.crm.db.engine import open_crm
    from ecw.crm.load import journal
    from ecw.crm.state import runs

    changed = numbers["inserted"] + numbers["updated"]
    if not changed and not numbers["rejected"]:
        return False
    run, resource = batch["run"], batch["resource"]
    with open_crm(run["crm_conn_id"]) as engine:
        if not changed:
            return journal.has_pulled(engine, run, resource)
        return runs.numbers(engine, run, resource) is not None
