"""Extract a resource from an export of a group: resumable, because eCW makes one export at a time and tells its
address once.
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
from ecw.staging import batch_file, filesystem

LONGEST_WAIT = 600.0  # seconds between two looks, whatever the server asks for
FAILURES = 3  # tries of one export that end in trouble without a new file, before another one is begun
log = logging.getLogger(__name__)


@dataclass
class Kept:
    """What a try leaves to the next one, so that an export is begun once and its calls are all counted."""

    path: str
    handle: str = ""
    at: str = ""  # when it was begun
    since: str | None = None
    expected: list[str] = field(default_factory=list)  # ids that an export since then must hold, if the server heeds it
    calls: int = 0
    failures: int = 0
    older: int = 0  # records that were not changed since

    @classmethod
    def of(cls, folder: str) -> Kept:
        """Read what is kept in a resource's folder; nothing is, before an export has begun."""
        path = filesystem.join(folder, "export.json")
        return cls(path, **(batch_file.read_json(path) or {}))

    def write(self) -> None:
        """Keep it."""
        batch_file.write_json(self.path, {name: value for name, value in asdict(self).items() if name != "path"})

    def spend(self, calls: int) -> None:
        """Count calls that were made."""
        self.calls += calls
        self.write()

    def forget(self) -> None:
        """Forget the export; what it cost is still counted."""
        self.handle, self.since, self.expected, self.failures, self.older = "", None, [], 0, 0
        self.write()


def export(
    ask: ExtractContext, client: EcwClient, since_when: Callable[[], Since | None] = lambda: None
) -> Batch | float:
    """Go on with the export of a resource as far as it goes now: return its batch, or seconds to wait.

    It is started where there is none, by `since_when` of what changed alone; one that an earlier try has started is
    taken up, unless that can lead nowhere: what a person must fix is fixed for a new export.
    """
    name, calls, kept = ask.resource.name, client.calls, Kept.of(ask.folder)
    since = None if kept.handle else since_when()
    try:
        if kept.handle:
            log.info("%s: the export is under way already.", name)
        else:
            _start(ask, client, kept, since)
        found = exports.poll(client, kept.handle)
        if not isinstance(found, Underway):
            return _collect(ask, client, found, kept, calls)
        log.info("%s: the export is not ready (%s).", name, found.progress or "progress unknown")
        wait = min(found.seconds, LONGEST_WAIT)
    except ExportRunning as error:
        log.info("%s: %s", name, error.what)
        wait = exports.RETRY_AFTER
    except EcwError as error:
        kept.failures += 1
        if kept.handle and (isinstance(error, FatalError) or kept.failures >= FAILURES):
            log.warning("%s: this export is given up; the next try begins another one.", name)
            _give_up(ask, client, kept)
        kept.spend(client.calls - calls)
        raise
    kept.spend(client.calls - calls)
    return wait


def cancel(run: Run, resource: str, client: EcwClient) -> None:
    """Stop the run's export of a resource, or let its files be deleted; there need not be one."""
    kept, calls = Kept.of(filesystem.join(run["staging"], resource)), client.calls
    if kept.handle:
        exports.cancel(client, kept.handle)
        kept.forget()
        kept.spend(client.calls - calls)


def _start(ask: ExtractContext, client: EcwClient, kept: Kept, since: Since | None) -> None:
    """Start an export; its address is kept first of all.

    Raises ExportRunning while another export of the practice is made.
    """
    group = _group(client, ask.options.bulk_group)
    at = datetime.now(UTC).isoformat()

    def keep(handle: str) -> None:
        kept.handle, kept.at = handle, at
        if since is not None:
            kept.since, kept.expected = since.moment, list(since.expected)
        kept.write()

    exports.kick_off(client, group, [ask.resource.fhir_type], keep, since.moment if since else None)


def _collect(ask: ExtractContext, client: EcwClient, manifest: Manifest, kept: Kept, calls: int) -> Batch:
    """Make the batch of a finished export, and let the server delete its files.

    What others wait for and the group does not hold is read; so is what is known and did not come.
    """
    started = time.monotonic()
    exports.refuse_errors(client, manifest)
    _stage(ask, client, manifest, kept)
    since = _heeded(ask, client, kept)
    gone = exports.deletions(client, manifest, ask.resource.fhir_type)
    fetch(ask, client, missing(ask, gone, everything=since is None))
    fetch_wanted(ask, client)
    _clean_up(ask, client, kept)
    made = kept.calls + client.calls - calls
    batch = finished_batch(ask, "bulk", made, started, datetime.fromisoformat(kept.at))
    filesystem.remove(kept.path)
    if since is not None:
        batch |= {"completeness": f"what changed in the group since {since}", "full_scan": False}
    return batch


def _stage(ask: ExtractContext, client: EcwClient, manifest: Manifest, kept: Kept) -> None:
    """Stage the files of the resource, each one whole or not at all; those of an earlier try are here."""
    parts, since = ask.parts, datetime.fromisoformat(kept.since) if kept.since else None
    parts.resume()
    for file in manifest.files:
        done = parts.progress.get(file.url)
        if file.fhir_type != ask.resource.fhir_type or (done is not None and done.done):
            continue
        lines = exports.lines(client, file)
        while piece := list(islice(lines, PART_RECORDS)):
            kept.older += sum(not is_since(record, since) for record in piece)
            parts.add(file.url, piece, None, done=False)
        parts.add(file.url, [], None, done=True)
        parts.flush()
        kept.failures = 0


def _heeded(ask: ExtractContext, client: EcwClient, kept: Kept) -> str | None:
    """Return since when the export holds changes alone, None where it holds everything; remember what it proves.

    Raises ServerUnavailable where it lacks what it must hold.
    """
    if kept.older:
        log.warning(
            "%s: the server does not heed _since (%d older records); it is not asked for.",
            *(ask.resource.name, kept.older),
        )
        remember(ask, heeds=False)
        return None  # everything was exported
    if absent := [ecw_id for ecw_id in kept.expected if ecw_id not in ask.seen]:
        remember(ask, heeds=False)
        _give_up(ask, client, kept)
        raise ServerUnavailable(
            f"{ask.resource.fhir_type}: an export of what changed lacks {len(absent)} records that have changed since.",
            next_step="try again: everything is exported then, and _since is not asked for any more.",
        )
    if kept.expected:
        remember(ask, heeds=True)
    return kept.since


def _clean_up(ask: ExtractContext, client: EcwClient, kept: Kept) -> None:
    """Let the server delete the files; that it cannot is no reason to lose them."""
    try:
        exports.cancel(client, kept.handle, once=True)
    except EcwError as error:
        log.info("%s: the export's files are left to the server (%s).", ask.resource.name, error.what)


def _give_up(ask: ExtractContext, client: EcwClient, kept: Kept) -> None:
    """Stop an export that leads nowhere, and forget what it brought."""
    _clean_up(ask, client, kept)
    kept.forget()
    filesystem.remove(ask.parts.folder)


def _group(client: EcwClient, wanted: str) -> str:
    """Return the export id of the group that the option `bulk_group` names, or of the only one."""
    groups = exports.groups(client)
    fitting = [group for group in groups if wanted in (group.export_id, group.name)]
    if not wanted and len(groups) == 1:
        fitting = groups
    if len(fitting) != 1:
        raise ConfigurationError(
            f"The option bulk_group fits {len(fitting)} of the practice's {len(groups)} groups.",
            # Their names are whatever somebody at the practice wrote, a doctor's or a patient's.
            next_step="set it to the name of one of the practice's groups in eCW, or to its id: "
            f"{', '.join(sorted(group.export_id for group in groups if ID.fullmatch(group.export_id))) or 'none'}.",
        )
    return fitting[0].export_id


def missing(ask: ExtractContext, deleted: Sequence[str], *, everything: bool) -> Iterator[SearchRequest]:
    """Yield reads of what the server says is deleted and, after an export of everything, of what is known and did not
    come.

    A group that has fewer than half of the known is somebody's choice: whom it lacks is not read.
    """
    units = {ecw_id: None for ecw_id in deleted if ecw_id not in ask.seen}
    if everything and not ask.options.few:
        absent = not_come(ask)
        if 2 * len(absent) <= len(absent) + len(ask.seen):
            units |= dict.fromkeys(in_turn(ask, absent))
    yield from map(read, units)
