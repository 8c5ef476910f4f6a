"""Extract a resource from a bulk export of a group.

A later try resumes the export, because eCW runs one export at a time and returns its address only once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice

from ecw.errors import ConfigurationError, EcwError, ExportRunning, FatalError, ServerUnavailable
from ecw.fhir import bulk_export as exports
from ecw.fhir.bulk_export import Manifest, Underway
from ecw.fhir.client import ID, EcwClient
from ecw.models import Batch, Run
from ecw.pull.extract.changed_since import Since, is_since, remember
from ecw.pull.extract.checkpoint import PART_RECORDS
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.extract import fetch_wanted, finished_batch
from ecw.pull.extract.fetch import fetch
from ecw.pull.extract.missing import in_turn, not_come
from ecw.pull.extract.search_request import SearchRequest, read
from ecw.resources import StrategyName
from ecw.staging import batch_file, filesystem

LONGEST_WAIT = 600.0  # seconds between two polls, whatever the server asks for
FAILURES = 3  # failed tries of one export without a new file, before a new export is started
log = logging.getLogger(__name__)


@dataclass
class Kept:
    """The state that one try leaves to the next: an export is started once, and all its calls are counted."""

    path: str
    handle: str = ""
    at: str = ""  # when the export was started
    since: str | None = None
    expected: list[str] = field(default_factory=list)  # ids that the export holds if the server applies `since`
    calls: int = 0
    failures: int = 0
    older: int = 0  # exported records that did not change after `since`

    @classmethod
    def of(cls, folder: str) -> Kept:
        """Read the state from a resource's folder; it is empty before an export has started."""
        path = filesystem.join(folder, "export.json")
        return cls(path, **(batch_file.read_json(path) or {}))

    def write(self) -> None:
        """Write the state to the folder."""
        batch_file.write_json(self.path, {name: value for name, value in asdict(self).items() if name != "path"})

    def spend(self, calls: int) -> None:
        """Count calls that were made."""
        self.calls += calls
        self.write()

    def forget(self) -> None:
        """Forget the export, but keep the number of its calls."""
        self.handle, self.since, self.expected, self.failures, self.older = "", None, [], 0, 0
        self.write()


def export(
    context: ExtractContext, client: EcwClient, since_when: Callable[[], Since | None] = lambda: None
) -> Batch | float:
    """Start, poll or collect the export of a resource; return its batch, or the seconds to wait until the next call.

    A new export covers the changes after `since_when()`, or everything if that returns None. An export that an earlier
    try has started is resumed; it is given up after a fatal error or FAILURES failed tries, and the next try starts a
    new one.
    """
    name, calls, kept = context.resource.name, client.calls, Kept.of(context.folder)
    since = None if kept.handle else since_when()
    try:
        if kept.handle:
            log.info("%s: the export is already running.", name)
        else:
            _start(context, client, kept, since)
        status = exports.poll(client, kept.handle)
        if not isinstance(status, Underway):
            return _collect(context, client, status, kept, calls)
        log.info("%s: the export is not ready (%s).", name, status.progress or "progress unknown")
        wait = min(status.seconds, LONGEST_WAIT)
    except ExportRunning as error:
        log.info("%s: %s", name, error.what)
        wait = exports.RETRY_AFTER
    except EcwError as error:
        kept.failures += 1
        if kept.handle and (isinstance(error, FatalError) or kept.failures >= FAILURES):
            log.warning("%s: this export is given up; the next try starts a new one.", name)
            _give_up(context, client, kept)
        kept.spend(client.calls - calls)
        raise
    kept.spend(client.calls - calls)
    return wait


def cancel(run: Run, resource: str, client: EcwClient) -> None:
    """Cancel the run's export of a resource, or delete its files on the server; do nothing if there is none."""
    kept, calls = Kept.of(filesystem.join(run["staging"], resource)), client.calls
    if kept.handle:
        exports.cancel(client, kept.handle)
        kept.forget()
        kept.spend(client.calls - calls)


def _start(context: ExtractContext, client: EcwClient, kept: Kept, since: Since | None) -> None:
    """Start an export and store its address at once.

    Raises ExportRunning while eCW runs another export of the practice.
    """
    group = _group(client, context.options.bulk_group)
    at = datetime.now(UTC).isoformat()

    def keep(handle: str) -> None:
        kept.handle, kept.at = handle, at
        if since is not None:
            kept.since, kept.expected = since.moment, list(since.expected)
        kept.write()

    exports.kick_off(client, group, [context.resource.fhir_type], keep, since.moment if since else None)


def _collect(context: ExtractContext, client: EcwClient, manifest: Manifest, kept: Kept, calls: int) -> Batch:
    """Make the batch of a finished export, and tell the server to delete the export's files.

    Records that the export lacks are read by id: known records, and records that deferred rows wait for.
    """
    started = time.monotonic()
    exports.refuse_errors(client, manifest)
    _stage(context, client, manifest, kept)
    since = _applied_since(context, client, kept)
    deleted = exports.deletions(client, manifest, context.resource.fhir_type)
    fetch(context, client, missing(context, deleted, everything=since is None))
    fetch_wanted(context, client)
    _clean_up(context, client, kept)
    all_calls = kept.calls + client.calls - calls
    batch = finished_batch(context, StrategyName.BULK, all_calls, started, datetime.fromisoformat(kept.at))
    filesystem.remove(kept.path)
    if since is not None:
        batch |= {"completeness": f"what changed in the group since {since}", "full_scan": False}
    return batch


def _stage(context: ExtractContext, client: EcwClient, manifest: Manifest, kept: Kept) -> None:
    """Stage the export's files of the resource, except those that an earlier try has staged completely."""
    checkpoint, since = context.checkpoint, datetime.fromisoformat(kept.since) if kept.since else None
    checkpoint.resume()
    for file in manifest.files:
        progress = checkpoint.progress.get(file.url)
        if file.fhir_type != context.resource.fhir_type or (progress is not None and progress.done):
            continue
        lines = exports.lines(client, file)
        while chunk := list(islice(lines, PART_RECORDS)):
            kept.older += sum(not is_since(record, since) for record in chunk)
            checkpoint.add(file.url, chunk, None, done=False)
        checkpoint.add(file.url, [], None, done=True)
        checkpoint.flush()
        kept.failures = 0


def _applied_since(context: ExtractContext, client: EcwClient, kept: Kept) -> str | None:
    """Return the start of the changes that the export holds, or None if it holds everything.

    Remember whether the server applies `_since`, as far as this export proves it.

    Raises ServerUnavailable if the export lacks records that it must hold.
    """
    if kept.older:
        log.warning(
            "%s: the server ignores _since (%d older records); later exports do not use it.",
            *(context.resource.name, kept.older),
        )
        remember(context, heeds=False)
        return None  # everything was exported
    if absent := [ecw_id for ecw_id in kept.expected if ecw_id not in context.seen]:
        remember(context, heeds=False)
        _give_up(context, client, kept)
        raise ServerUnavailable(
            f"{context.resource.fhir_type}: an export of the changes lacks {len(absent)} records that have changed.",
            next_step="try again: the next export covers everything, and _since is not used any more.",
        )
    if kept.expected:
        remember(context, heeds=True)
    return kept.since


def _clean_up(context: ExtractContext, client: EcwClient, kept: Kept) -> None:
    """Tell the server to delete the export's files; if that fails, only log it, because the records are fetched."""
    try:
        exports.cancel(client, kept.handle, once=True)
    except EcwError as error:
        log.info("%s: the export's files are left to the server (%s).", context.resource.name, error.what)


def _give_up(context: ExtractContext, client: EcwClient, kept: Kept) -> None:
    """Cancel an export that cannot succeed, and discard the records that it returned."""
    _clean_up(context, client, kept)
    kept.forget()
    filesystem.remove(context.checkpoint.folder)


def _group(client: EcwClient, name_or_id: str) -> str:
    """Return the export id of the group that the option `bulk_group` names; without it, of the practice's only group.

    Raises ConfigurationError if not exactly one group fits.
    """
    groups = exports.groups(client)
    fitting = [group for group in groups if name_or_id in (group.export_id, group.name)]
    if not name_or_id and len(groups) == 1:
        fitting = groups
    if len(fitting) != 1:
        raise ConfigurationError(
            f"The option bulk_group fits {len(fitting)} of the practice's {len(groups)} groups.",
            # Only ids: the practice chose the groups' names, which may name a doctor or a patient.
            next_step="set it to the name of one of the practice's groups in eCW, or to its id: "
            f"{', '.join(sorted(group.export_id for group in groups if ID.fullmatch(group.export_id))) or 'none'}.",
        )
    return fitting[0].export_id


def missing(context: ExtractContext, deleted: Sequence[str], *, everything: bool) -> Iterator[SearchRequest]:
    """Yield reads of the records that the server reports as deleted and, after a full export, of missing known ones.

    If the export has fewer than half of the known records, the group is a chosen part of the practice: then no missing
    record is read.
    """
    ecw_ids = {ecw_id: None for ecw_id in deleted if ecw_id not in context.seen}
    if everything and not context.options.few:
        absent = not_come(context)
        if 2 * len(absent) <= len(absent) + len(context.seen):
            ecw_ids |= dict.fromkeys(in_turn(context, absent))
    yield from map(read, ecw_ids)
