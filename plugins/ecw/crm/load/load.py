"""The load: a batch's rows, links, rejects, cursor and ledger row, all in one transaction or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.db.engine import exclusive
from ecw.crm.db.errors import working
from ecw.crm.load import deferred, initial_sync
from ecw.crm.load.merge import merge
from ecw.crm.load.quarantine import quarantine, rejected
from ecw.crm.load.stage import REFUSED, Read, Stage, drop_stage, expect, fill, open_stage
from ecw.crm.load.write_links import tell_links
from ecw.crm.state import cursors, last_checked, runs
from ecw.errors import EcwError
from ecw.models import Batch, Counts, Run

NAMED = 5  # ids in a line of the log
log = logging.getLogger(__name__)


def load_rows(
    engine: Engine,
    run: Run,
    batch: Batch,
    mapped: Mapped,
    rows: Iterable[dict[str, Any]],
    rejects: Iterable[dict[str, Any]],
    newer: Iterable[dict[str, Any]] = (),
    *,
    moves_cursor: bool = True,
    dry_run: bool = False,
    coming: Iterable[tuple[str, str]] = (),
    source: str | None = None,
    queried: Iterable[str] | None = None,
) -> Counts:
    """Load the staged rows and rejects of a batch into the CRM; return the resource's numbers of this run.

    `newer` are the unchanged ones whose version is newer than that of their link: the link gets it, so that nothing in
    between is loaded later. Where a link was changed since the map step, the cursor stays, so that the next run looks
    again.

    Rows that had waited for another record which is here now come in with the batch, and count as fetched. A value that
    its column cannot hold makes its record a reject. The same batch loaded again changes nothing and returns what the
    first time returned. `moves_cursor` is false for a run that saw only a part of its window. A `dry_run` finds the
    numbers by doing everything, and takes it back; `coming` are the records, as (resource, eCW id), that the run would
    have loaded before, so that nothing waits for them. `source` is the staged file that holds the batch's records;
    `asked` are the patients that eCW was asked about one by one, where it was.

    Raises CrmSchemaError (the mapping does not fit the table, the database refused a row), DatabaseUnavailable, and
    CountMismatch (records that are neither rows, nor unchanged, nor among the rejects); nothing is written then.
    """
    began = time.monotonic()
    with working(f"The load of {batch['resource']}"), engine.connect() as connection:
        # Filling a temporary table needs no write lock, so this transaction only reads as far as SQLite knows.
        connection.execution_options(crm_read=True)
        try:
            with connection.begin():
                target = find(connection, mapped)
                stage = open_stage(connection, target, source)
                stage.read = Read.of(batch)
                if dry_run:
                    expect(connection, stage, coming)
                deferred_loaded = deferred.ready(connection, stage, target, run["practice"], batch["resource"])
                fill(connection, stage, target, rows, rejects, deferred_loaded, newer)
            connection.execution_options(crm_read=False)
            with connection.begin() as transaction:
                one_at_a_time(connection, run["practice"], batch["resource"])
                if not dry_run:
                    queried = None if queried is None else list(queried)
                    loaded = _load(connection, stage, target, run, batch, moves_cursor, began)
                    if batch["resource"] == initial_sync.RESOURCE:
                        about_all = moves_cursor and run["run_type"] != "backfill"
                        initial_sync.looked(connection, run, queried, about_all=about_all)
                    last_checked.note(connection, run, batch["resource"], queried or ())
                    return loaded
                found = _merge(connection, stage, target, run, batch)
                transaction.rollback()
            with connection.begin():
                return _record(connection, run, batch, found, target, began, state=runs.DRY)
        finally:
            _tidy(connection)


def _load(
    connection: Connection,
    stage: Stage,
    target: BusinessTable,
    run: Run,
    batch: Batch,
    moves_cursor: bool,
    began: float,
) -> Counts:
    resource = batch["resource"]
    # With the counts: two batches without a line differ only in them.
    counts = (batch["fetched"], batch["rejected"], batch["unchanged"])
    fingerprint = "/".join(str(part) for part in (stage.fingerprint, *counts))
    before = runs.row(connection, run, resource)
    if before is not None and before["fingerprint"] == fingerprint:
        # This very batch is in the CRM: the task was killed, or its answer was lost, after the commit.
        runs.loaded_already(connection, run, resource)
        return runs.numbers_of(before)
    found = _merge(connection, stage, target, run, batch)
    if moves_cursor and not found.overtaken:
        cursors.move(connection, run, resource)
    return _record(connection, run, batch, found, target, began, fingerprint=fingerprint)


@dataclass(frozen=True, slots=True)
class _Found:
    numbers: Counts
    notes: runs.Notes
    overtaken: int  # links that another run changed since the map step counted their records unchanged


def _merge(connection: Connection, stage: Stage, target: BusinessTable, run: Run, batch: Batch) -> _Found:
    resource = batch["resource"]
    refused = rejected(connection, stage)
    overtaken = tell_links(connection, stage, run, resource, target.mapped.version)
    merged = merge(connection, stage, target, run, resource)
    quarantine(connection, stage, run, resource)
    numbers = Counts(
        fetched=batch["fetched"] + stage.deferred_loaded,
        # As the quarantine has it, not as the batch says: one without a reason there would be lost in silence.
        rejected=refused + stage.unfit + merged.counts["deferred"] + merged.counts[REFUSED],
        inserted=merged.counts["inserted"],
        updated=merged.counts["updated"],
        unchanged=batch["unchanged"] + merged.counts["unchanged"],
    ).verified()
    told = asdict(merged.told)
    rewritten = ", ".join(f"{name} {count}" for name, count in merged.rewritten.items())
    for name, count in merged.rewritten.items():
        log.warning(
            "%s: the CRM's table %s holds another value in %s than was written, in %d rows: a trigger of the CRM may "
            "have changed it. What the table holds counts as agreed, and is not pushed.",
            *(resource, target.mapped.table, name, count),
        )
    if merged.still_stale:
        log.warning(
            "%s: %d records came in an older version than the CRM has in an earlier run, too (%s). Next (data "
            "engineer): pull them by their ids, which always holds.",
            *(resource, len(merged.still_stale), ", ".join(merged.still_stale[:NAMED])),
        )
    notes = runs.Notes(
        **told,
        deferred=merged.counts["deferred"],
        deferred_loaded=stage.deferred_loaded,
        stale=merged.stale,
        still_stale=len(merged.still_stale),
        rewritten=rewritten or None,
    )
    return _Found(numbers, notes, overtaken)


def _record(
    connection: Connection,
    run: Run,
    batch: Batch,
    found: _Found,
    target: BusinessTable,
    began: float,
    *,
    fingerprint: str | None = None,
    state: str = runs.LOADED,
) -> Counts:
    runs.record(
        connection,
        run,
        batch,
        found.numbers,
        notes=found.notes,
        mapping_version=target.mapped.version,
        fingerprint=fingerprint,
        seconds=time.monotonic() - began,
        state=state,
    )
    return found.numbers


def one_at_a_time(connection: Connection, practice: str, resource: str) -> None:
    """Let loads of the same resource wait for each other: backfill runs go side by side.  On SQLite all writers do."""
    exclusive(connection, f"ecw load {practice} {resource}")


def _tidy(connection: Connection) -> None:
    """Drop the temporary tables before the connection goes back to the pool; a broken one is thrown away."""
    try:
        connection.execution_options(crm_read=True)
        with connection.begin():
            drop_stage(connection)
    except EcwError:
        connection.invalidate()
