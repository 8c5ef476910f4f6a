"""Choose what a bulk export covers: everything, or the changes after a time if the server applies `_since`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecw.crm.state import baselines, links
from ecw.models import RunType
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.dedupe import last_updated
from ecw.resources import StrategyName
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from sqlalchemy import Engine

PROOF = 50  # records by which a server proves that it applies `_since`


@dataclass(frozen=True, slots=True)
class Since:
    """The start of the changes to export; `expected` are ids that the export must hold, until that is proven."""

    moment: str
    expected: tuple[str, ...] = ()


def since_when(engine: Engine, context: ExtractContext) -> Since | None:
    """Return the start of the changes to export, or None to export everything.

    Everything is exported the first time, then once within `full_cycle_hours`, because only a full export shows
    records that were added to the group or deleted. A server that ignores `_since` always exports everything.

    The first export with `_since` is the proof. Its time lies between records of the CRM: the export must hold the
    records that changed after it, and no older ones.
    """
    run, resource, options = context.run, context.resource.name, context.options
    if run["window_start"] is None or options.full or run["run_type"] == RunType.BACKFILL:
        return None
    heeds = (batch_file.read_json(_memory(context)) or {}).get("heeds")
    last = baselines.last_full_scan(engine, run, resource, StrategyName.BULK)
    if heeds is False or last is None or context.end - last >= timedelta(hours=options.full_cycle_hours):
        return None
    start = datetime.fromisoformat(run["window_start"]) - timedelta(minutes=options.overlap_minutes)
    if heeds:
        return Since(_instant(start))
    newest = links.newest(engine, run["practice"], resource, PROOF)
    dividing = [moment for _, moment in newest if moment <= start and moment > newest[-1][1]]
    if not dividing:
        return None
    moment = min(dividing).replace(microsecond=0)
    return Since(_instant(moment), tuple(ecw_id for ecw_id, changed in newest if changed >= moment))


def remember(context: ExtractContext, *, heeds: bool) -> None:
    """Remember whether the practice's server applies `_since`."""
    batch_file.write_json(_memory(context), {"heeds": heeds, "run_id": context.run["run_id"]})


def is_since(record: Mapping[str, Any], since: datetime | None) -> bool:
    """Return True if a record changed at or after `since`, or has no time of its last change."""
    changed = last_updated(record)
    return since is None or changed is None or datetime.fromisoformat(changed) >= since


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def _memory(context: ExtractContext) -> str:
    # In the practice's folder, beside its runs. If the server is fixed, remove the file: then it is tested again.
    return filesystem.join(batch_file.practice_folder(context.run["staging"]), f"since-{context.resource.name}.json")
