"""The assets that tell other DAGs that a load changed rows: `ecw_patient`, `ecw_insurance` and so on.

An outlet that is an asset gets an event at every success of its task.  An alias gets one only if the task adds it, so a
load adds an event only if it changed something.  The load of a backfill adds one, too; a dry run changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from ecw.models import left_by
from ecw.operators import lineage
from ecw.operators.outbox_trigger import OutboxTrigger
from ecw.pull import steps
from ecw.settings.practices import of_connection

if TYPE_CHECKING:
    from ecw.models import Batch, Run
    from ecw.settings.practice import Practice

log = logging.getLogger(__name__)


def asset(resource: str, practice: Practice | None = None) -> Asset:
    """Return the asset of a practice's rows of a resource in the CRM, for another DAG's `schedule`.

    Without `practice`: the practice at the connection `ecw_default`.
    """
    return Asset(f"ecw_{resource}{practice.suffix if practice else ''}")


def changed(resource: str, practice: Practice | None = None) -> AssetAlias:
    """Return the outlet of the resource's load."""
    return AssetAlias(f"ecw_{resource}_changed{practice.suffix if practice else ''}")


def outbox(practice: Practice) -> Asset:
    """Return the asset that starts a practice's push; its watcher queries the CRM for patients to push."""
    trigger = OutboxTrigger(practice.connection, practice.crm_connection)
    watcher = AssetWatcher(name=f"crm_outbox{practice.suffix}", trigger=trigger)
    return Asset(f"crm_patients_to_push{practice.suffix}", watchers=[watcher])


def load(batch: Batch, outlet_events: Any = None) -> dict[str, int]:
    """Run `steps.load`; add an event to the resource's asset if the load changed rows or marked them as deleted.

    A task that was killed between the load and the event loads again: the counts are the same, nothing is written, and
    the event is added.
    """
    numbers = steps.load(batch)
    run, resource = batch["run"], batch["resource"]
    if _has_changed(batch, numbers):
        if outlet_events is not None:
            counts = {name: numbers[name] for name in ("inserted", "updated", "rejected")}
            extra = {"practice": run["practice"], "run_id": run["run_id"], **counts}
            practice = of_connection(run["ecw_conn_id"])
            outlet_events[changed(resource, practice)].add(asset(resource, practice), extra=extra)
            log.info("The asset ecw_%s%s has an event.", resource, practice.suffix)
        lineage.report_load(run, resource, numbers)
    return numbers


def inline(run: Run, outlet_events: Any = None) -> dict[str, dict[str, int]]:
    """Pull a few records in one task, all steps of all resources, and report the changes to the assets."""
    from ecw.pull.inline_run import pull

    return pull(left_by("begin", run), lambda batch: load(batch, outlet_events))


def _has_changed(batch: Batch, numbers: dict[str, int]) -> bool:
    """Return True if the load has changed rows; a dry run rolls its changes back.

    A row that is marked because its record was deleted in eCW counts as a reject, and the journal has an entry for it.
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
