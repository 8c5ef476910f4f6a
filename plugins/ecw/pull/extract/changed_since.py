"""What an export asks for: everything, or what changed since a moment, as far as the server heeds `_since`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ecw.crm.state import baselines, links
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.dedupe import last_updated
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from sqlalchemy import Engine

PROOF = 50  # records by which a server proves that it heeds `_since`


@dataclass(frozen=True, slots=True)
class Since:
    """From when on changes alone are exported; `expected` are ids that must be among them, while that is not proven."""

    moment: str
    expected: tuple[str, ...] = ()


def since_when(engine: Engine, ask: ExtractContext) -> Since | None:
    """Return from when on changes alone are exported, None where everything is.

    Everything is exported the first time, once within `full_cycle_hours`, and for ever by a server that was seen not
    to heed `_since`: records that were added to the group, or deleted, are found in a whole export alone.

    A server proves that it heeds `_since` with the first such export, from a moment on that divides what the CRM has:
    it must hold what changed after it, and nothing that did not.
    """
    run, resource, options = ask.run, ask.resource.name, ask.options
    if run["window_start"] is None or options.full or run["run_type"] == "backfill":
        return None
    heeds = (batch_file.read_json(_memory(ask)) or {}).get("heeds")
    last = baselines.last_whole(engine, run, resource, "bulk")
    if heeds is False or last is None or ask.end - last >= timedelta(hours=options.full_cycle_hours):
        return None
    start = datetime.fromisoformat(run["window_start"]) - timedelta(minutes=options.overlap_minutes)
    if heeds:
        return Since(_instant(start))
    newest = links.newest(engine, run["practice"], resource, PROOF)
    divides = [moment for _, moment in newest if moment <= start and moment > newest[-1][1]]
    if not divides:
        return None
    moment = min(divides).replace(microsecond=0)
    return Since(_instant(moment), tuple(ecw_id for ecw_id, changed in newest if changed >= moment))


def remember(ask: ExtractContext, *, heeds: bool) -> None:
    """Remember whether the practice's server heeds `_since`."""
    batch_file.write_json(_memory(ask), {"heeds": heeds, "run_id": ask.run["run_id"]})


def is_since(record: Mapping[str, Any], since: datetime | None) -> bool:
    """Return True if a record was changed since; one without a time may be."""
    changed = last_updated(record)
    return since is None or changed is None or datetime.fromisoformat(changed) >= since


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def _memory(ask: ExtractContext) -> str:
    # Beside the practice's runs; a server that was fixed is asked again once the file is removed.
    return filesystem.join(batch_file.practice_folder(ask.run["staging"]), f"since-{ask.resource.name}.json")
