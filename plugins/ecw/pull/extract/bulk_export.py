"""Extract a resource from an export of a group: resumable, because eCW makes one export at a time and tells its
address once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from ecw.crm.state import baselines, links
from ecw.errors import ConfigurationError, EcwError, ExportRunning, FatalError, ServerUnavailable
from ecw.fhir import bulk_export as exports
from ecw.fhir.bulk_export import Manifest, Underway
from ecw.fhir.client import ID, EcwClient
from ecw.models import Batch, Run
from ecw.pull.extract.checkpoint import PART_RECORDS, Parts
from ecw.pull.extract.context import ExtractContext, Known
from ecw.pull.extract.dedupe import Seen
from ecw.pull.extract.dedupe import last_updated as its_time
from ecw.pull.extract.extract import Extracted, fetch_wanted, finished_batch, read_between
from ecw.pull.extract.fetch import fetch
from ecw.pull.extract.missing import in_turn, not_come
from ecw.pull.extract.search_request import SearchRequest, read
from ecw.pull.extract.strategies import STRATEGIES
from ecw.resources import Resource
from ecw.settings.pull import Options
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from sqlalchemy import Engine

LONGEST_WAIT = 600.0  # seconds between two looks, whatever the server asks for
PROOF = 50  # records by which a server proves that it heeds `_since`
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
    def of(cls, run: Run, resource: Resource) -> Kept:
        """Read what is kept; nothing is, before an export has begun."""
        path = filesystem.join(run["staging"], resource.name, "export.json")
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
    run: Run, resource: Resource, client: EcwClient, options: Options, roster: Known, *, since: Since | None = None
) -> Batch | float:
    """Go on with the export of a resource as far as it goes now: return its batch, or seconds to wait.

    It is started where there is none; one that an earlier try has started is taken up, unless that can lead nowhere:
    what a person must fix is fixed for a new export. `since` asks for what changed after it alone.
    """
    calls, kept = client.calls, Kept.of(run, resource)
    try:
        if kept.handle:
            log.info("%s: the export is under way already.", resource.name)
        else:
            _start(kept, resource, client, options, since)
        found = exports.poll(client, kept.handle)
        if not isinstance(found, Underway):
            return _collect(ExtractContext(run, resource, options, roster, Seen()), client, found, kept, calls)
        log.info("%s: the export is not ready (%s).", resource.name, found.progress or "progress unknown")
        wait = min(found.seconds, LONGEST_WAIT)
    except ExportRunning as error:
        log.info("%s: %s", resource.name, error.what)
        wait = exports.RETRY_AFTER
    except EcwError as error:
        kept.failures += 1
        if kept.handle and (isinstance(error, FatalError) or kept.failures >= FAILURES):
            log.warning("%s: this export is given up; the next try begins another one.", resource.name)
            _give_up(run, resource, client, kept)
        kept.spend(client.calls - calls)
        raise
    kept.spend(client.calls - calls)
    return wait


def cancel(run: Run, resource: Resource, client: EcwClient) -> None:
    """Stop the run's export, or let its files be deleted; there need not be one."""
    kept, calls = Kept.of(run, resource), client.calls
    if kept.handle:
        exports.cancel(client, kept.handle)
        kept.forget()
        kept.spend(client.calls - calls)


def _start(kept: Kept, resource: Resource, client: EcwClient, options: Options, since: Since | None) -> None:
    """Start an export; its address is kept first of all.

    Raises ExportRunning while another export of the practice is made.
    """
    group = _group(client, options)

    at = datetime.now(UTC).isoformat()

    def keep(handle: str) -> None:
        kept.handle, kept.at = handle, at
        if since is not None:
            kept.since, kept.expected = since.moment, list(since.expected)
        kept.write()

    exports.kick_off(client, group, [resource.fhir_type], keep, since.moment if since else None)


def _collect(ask: ExtractContext, client: EcwClient, manifest: Manifest, kept: Kept, calls: int) -> Batch:
    """Stage the files of a finished export, each one whole or not at all, and let the server delete them.

    What others wait for and the group does not hold is read; so is what is known and did not come.
    """
    started, run, resource = time.monotonic(), ask.run, ask.resource
    exports.refuse_errors(client, manifest)
    parts = Parts(filesystem.join(run["staging"], resource.name, "parts"))
    parts.resume()
    since = datetime.fromisoformat(kept.since) if kept.since else None
    for file in manifest.files:
        done = parts.progress.get(file.url)
        if file.fhir_type != resource.fhir_type or (done is not None and done.done):
            continue
        lines = exports.lines(client, file)
        while piece := list(islice(lines, PART_RECORDS)):
            kept.older += sum(not is_since(record, since) for record in piece)
            parts.add(file.url, piece, None, done=False)
        parts.add(file.url, [], None, done=True)
        parts.flush()
        kept.failures = 0
    ask = replace(ask, seen=parts.seen)
    if kept.older:
        log.warning(
            "%s: the server does not heed _since (%d older records); it is not asked for.", resource.name, kept.older
        )
        _remember(run, resource, heeds=False)
        since = None  # everything was exported
    elif absent := [ecw_id for ecw_id in kept.expected if ecw_id not in parts.seen]:
        _remember(run, resource, heeds=False)
        _give_up(run, resource, client, kept)
        raise ServerUnavailable(
            f"{resource.fhir_type}: an export of what changed lacks {len(absent)} records that have changed since.",
            next_step="try again: everything is exported then, and _since is not asked for any more.",
        )
    elif kept.expected:
        _remember(run, resource, heeds=True)
    gone = exports.deletions(client, manifest, resource.fhir_type)
    fetch(client, resource.fhir_type, missing(ask, gone, everything=since is None), parts, ask.options.max_concurrency)
    fetch_wanted(ask, client, parts)
    _clean_up(resource, client, kept)
    path = filesystem.join(run["staging"], resource.name, "extract.ndjson.gz")
    count = parts.finish(path)
    made = kept.calls + client.calls - calls
    filesystem.remove(kept.path)
    batch = finished_batch(run, resource, Extracted("bulk", path, count, made, time.monotonic() - started))
    batch["completeness"] = (
        STRATEGIES["bulk"].proof if since is None else f"what changed in the group since {kept.since}"
    )
    if since is not None:
        batch["full_scan"] = False
    return batch | read_between(datetime.fromisoformat(kept.at), ask.options)


def _clean_up(resource: Resource, client: EcwClient, kept: Kept) -> None:
    """Let the server delete the files; that it cannot is no reason to lose them."""
    try:
        exports.cancel(client, kept.handle, once=True)
    except EcwError as error:
        log.info("%s: the export's files are left to the server (%s).", resource.name, error.what)


def _give_up(run: Run, resource: Resource, client: EcwClient, kept: Kept) -> None:
    """Stop an export that leads nowhere, and forget what it brought."""
    _clean_up(resource, client, kept)
    kept.forget()
    filesystem.remove(filesystem.join(run["staging"], resource.name, "parts"))


def _group(client: EcwClient, options: Options) -> str:
    found = exports.groups(client)
    wanted = [group for group in found if options.bulk_group in (group.export_id, group.name)]
    if not options.bulk_group and len(found) == 1:
        wanted = found
    if len(wanted) != 1:
        raise ConfigurationError(
            f"The option bulk_group fits {len(wanted)} of the practice's {len(found)} groups.",
            # Their names are whatever somebody at the practice wrote, a doctor's or a patient's.
            next_step="set it to the name of one of the practice's groups in eCW, or to its id: "
            f"{', '.join(sorted(group.export_id for group in found if ID.fullmatch(group.export_id))) or 'none'}.",
        )
    return wanted[0].export_id


# -- what changed since the last export


@dataclass(frozen=True, slots=True)
class Since:
    """From when on changes alone are exported; `expected` are ids that must be among them, while that is not proven."""

    moment: str
    expected: tuple[str, ...] = ()


def since_when(engine: Engine, run: Run, resource: Resource, options: Options) -> Since | None:
    """Return from when on changes alone are exported, None where everything is.

    Everything is exported the first time, once within `full_cycle_hours`, and for ever by a server that was seen not
    to heed `_since`: records that were added to the group, or deleted, are found in a whole export alone.

    A server proves that it heeds `_since` with the first such export, from a moment on that divides what the CRM has:
    it must hold what changed after it, and nothing that did not.
    """
    if run["window_start"] is None or options.full or run["run_type"] == "backfill":
        return None
    heeds = (batch_file.read_json(_memory(run, resource)) or {}).get("heeds")
    last = baselines.last_whole(engine, run, resource.name, "bulk")
    end = datetime.fromisoformat(run["window_end"])
    if heeds is False or last is None or end - last >= timedelta(hours=options.full_cycle_hours):
        return None
    start = datetime.fromisoformat(run["window_start"]) - timedelta(minutes=options.overlap_minutes)
    if heeds:
        return Since(_instant(start))
    newest = links.newest(engine, run["practice"], resource.name, PROOF)
    divides = [moment for _, moment in newest if moment <= start and moment > newest[-1][1]]
    if not divides:
        return None
    moment = min(divides).replace(microsecond=0)
    return Since(_instant(moment), tuple(ecw_id for ecw_id, changed in newest if changed >= moment))


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()


def _remember(run: Run, resource: Resource, *, heeds: bool) -> None:
    """Remember whether a server heeds `_since`."""
    batch_file.write_json(_memory(run, resource), {"heeds": heeds, "run_id": run["run_id"]})


def is_since(record: Mapping[str, Any], since: datetime | None) -> bool:
    """Return True if a record was changed since; one without a time may be."""
    changed = its_time(record)
    return since is None or changed is None or datetime.fromisoformat(changed) >= since


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


def _memory(run: Run, resource: Resource) -> str:
    # Beside the practice's runs; a server that was fixed is asked again once the file is removed.
    return filesystem.join(run["staging"].rpartition("/")[0], f"since-{resource.name}.json")
