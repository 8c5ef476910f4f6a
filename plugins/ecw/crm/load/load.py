"""Load a batch: its rows, links, rejects, cursor and run record, all in one transaction or not at all."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from ecw.crm.db.business_table import BusinessTable, Mapped, find
from ecw.crm.db.engine import exclusive
from ecw.crm.db.enums import CountsAs
from ecw.crm.db.errors import working
from ecw.crm.load import deferred, initial_sync
from ecw.crm.load.fill_stage import StagedLines, expect, fill
from ecw.crm.load.merge import merge
from ecw.crm.load.quarantine import quarantine, rejected
from ecw.crm.load.stage import Read, Stage, drop_stage, open_stage
from ecw.crm.load.write_links import update_unchanged_links
from ecw.crm.state import cursors, last_checked, runs
from ecw.errors import EcwError
from ecw.models import Batch, Counts, Run, RunType

SHOWN = 5  # ids in a line of the log
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """The input of a load: the staged lines of one resource of a run.

    `newer` are the unchanged records whose version is newer than that of their link. `moves_cursor` is false for a run
    that fetched only a part of its window. `coming` are the records, as (resource, eCW id), that a dry run would have
    loaded before this resource, so that no row is deferred for them. `source` is the staged file that holds the batch's
    records. `queried` are the patients whose records were queried one by one; None if the extraction did not do so.
    """

    run: Run
    batch: Batch
    mapped: Mapped
    rows: Iterable[dict[str, Any]]
    rejects: Iterable[dict[str, Any]]
    newer: Iterable[dict[str, Any]] = ()
    moves_cursor: bool = True
    dry_run: bool = False
    coming: Iterable[tuple[str, str]] = ()
    source: str | None = None
    queried: Iterable[str] | None = None

    @property
    def resource(self) -> str:
        """The resource's name, as in resources.py."""
        return self.batch["resource"]


def load_rows(engine: Engine, request: LoadRequest) -> Counts:
    """Load the staged rows and rejects of a batch into the CRM; return the resource's counts of this run.

    If a record is unchanged in a newer version, its link gets that version, so that no version in between is loaded
    later. If a link was changed since the map step, the cursor stays, so that the next run fetches the record again.

    Deferred rows whose missing record is linked now are loaded with the batch, and count as fetched. A record with a
    value that its column cannot hold becomes a reject. To load the same batch again changes nothing and returns the
    counts of the first time. A dry run does everything, returns the counts, and rolls back.

    Raises CrmSchemaError (the mapping does not fit the table, the database refused a row), DatabaseUnavailable, and
    CountMismatch (records that are neither rows, nor unchanged, nor rejects); nothing is written then.
    """
    began = time.monotonic()
    with working(f"The load of {request.resource}"), engine.connect() as connection:
        # To fill a temporary table needs no write lock, so this transaction begins as one that only reads.
        connection.execution_options(crm_read=True)
        try:
            with connection.begin():
                target = find(connection, request.mapped)
                stage = _staged(connection, target, request)
            connection.execution_options(crm_read=False)
            with connection.begin() as transaction:
                one_at_a_time(connection, request.run["practice"], request.resource)
                if not request.dry_run:
                    loaded = _load(connection, stage, target, request, began)
                    _note_queried(connection, request)
                    return loaded
                outcome = _merge(connection, stage, target, request)
                transaction.rollback()
            with connection.begin():
                return _record(connection, request, outcome.loaded(began, state=runs.DRY))
        finally:
            _tidy(connection)


def _staged(connection: Connection, target: BusinessTable, request: LoadRequest) -> Stage:
    """Return a stage that holds the batch and the deferred rows that can be loaded now."""
    stage = open_stage(connection, target, request.source)
    stage.read = Read.of(request.batch)
    if request.dry_run:
        expect(connection, stage, request.coming)
    waited = deferred.ready(connection, stage, target, request.run["practice"], request.resource)
    fill(connection, stage, target, StagedLines(request.rows, request.rejects, waited, request.newer))
    return stage


def _note_queried(connection: Connection, request: LoadRequest) -> None:
    """Note which patients' records were queried one by one."""
    run, resource = request.run, request.resource
    queried = None if request.queried is None else list(request.queried)
    if resource == initial_sync.RESOURCE:
        about_all = request.moves_cursor and run["run_type"] != RunType.BACKFILL
        initial_sync.note_queried(connection, run, queried, about_all=about_all)
    last_checked.note(connection, run, resource, queried or ())


def _load(connection: Connection, stage: Stage, target: BusinessTable, request: LoadRequest, began: float) -> Counts:
    run, batch, resource = request.run, request.batch, request.resource
    # The counts are part of it: two batches without a line differ only in them.
    counts = (batch["fetched"], batch["rejected"], batch["unchanged"])
    fingerprint = "/".join(str(part) for part in (stage.fingerprint, *counts))
    before = runs.row(connection, run, resource)
    if before is not None and before["fingerprint"] == fingerprint:
        # This batch is loaded already: the task was killed, or its result was lost, after the commit.
        runs.loaded_already(connection, run, resource)
        return runs.numbers_of(before)
    outcome = _merge(connection, stage, target, request)
    if request.moves_cursor and not outcome.overtaken:
        cursors.move(connection, run, resource)
    return _record(connection, request, outcome.loaded(began, fingerprint))


@dataclass(frozen=True, slots=True)
class _Outcome:
    numbers: Counts
    notes: runs.Notes
    mapping_version: str
    overtaken: int  # links that another run changed since the map step counted their records as unchanged

    def loaded(self, began: float, fingerprint: str | None = None, state: str = runs.LOADED) -> runs.Loaded:
        """Return the entry for the run record; `began` is a time of time.monotonic()."""
        seconds = time.monotonic() - began
        return runs.Loaded(self.numbers, self.notes, self.mapping_version, seconds, fingerprint, state)


def _merge(connection: Connection, stage: Stage, target: BusinessTable, request: LoadRequest) -> _Outcome:
    run, batch, resource = request.run, request.batch, request.resource
    rejected_before = rejected(connection, stage)
    overtaken = update_unchanged_links(connection, stage, run, resource, target.mapped.version)
    merged = merge(connection, stage, target, run, resource)
    quarantine(connection, stage, run, resource)
    numbers = Counts(
        fetched=batch["fetched"] + stage.deferred_loaded,
        # Counted in the quarantine, not taken from the batch: a reject without a reason there would be lost silently.
        rejected=rejected_before + stage.unfit + merged.counts[CountsAs.DEFERRED] + merged.counts[CountsAs.REFUSED],
        inserted=merged.counts[CountsAs.INSERTED],
        updated=merged.counts[CountsAs.UPDATED],
        unchanged=batch["unchanged"] + merged.counts[CountsAs.UNCHANGED],
    ).verified()
    merge_counts = asdict(merged.merge_counts)
    rewritten = ", ".join(f"{name} {count}" for name, count in merged.rewritten.items())
    for name, count in merged.rewritten.items():
        log.warning(
            "%s: the CRM's table %s holds another value in %s than was written, in %d rows: a trigger of the CRM may "
            "have changed it. The table's value becomes the merge base, and is not pushed.",
            *(resource, target.mapped.table, name, count),
        )
    if merged.still_stale:
        log.warning(
            "%s: %d records came in an older version than the CRM has, in this run and in an earlier one (%s). Next "
            "(data engineer): pull them by their ids; that loads eCW's present version, whatever its age.",
            *(resource, len(merged.still_stale), ", ".join(merged.still_stale[:SHOWN])),
        )
    notes = runs.Notes(
        **merge_counts,
        deferred=merged.counts[CountsAs.DEFERRED],
        deferred_loaded=stage.deferred_loaded,
        stale=merged.stale,
        still_stale=len(merged.still_stale),
        rewritten=rewritten or None,
    )
    return _Outcome(numbers, notes, target.mapped.version, overtaken)


def _record(connection: Connection, request: LoadRequest, loaded: runs.Loaded) -> Counts:
    runs.record(connection, request.run, request.batch, loaded)
    return loaded.counts


def one_at_a_time(connection: Connection, practice: str, resource: str) -> None:
    """Let loads of the same resource wait for each other: backfill runs are parallel. On SQLite all writers wait."""
    exclusive(connection, f"ecw load {practice} {resource}")


def _tidy(connection: Connection) -> None:
    """Drop the temporary tables before the connection goes back to the pool; invalidate it if that fails."""
    try:
        connection.execution_options(crm_read=True)
        with connection.begin():
            drop_stage(connection)
    except EcwError:
        connection.invalidate()
