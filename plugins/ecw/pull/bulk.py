"""Extract a resource from an export of a group: resumable, because eCW makes one export at a time and tells its
address once.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from itertools import islice

from ecw.api import bulk as exports
from ecw.api.bulk import Manifest, Underway
from ecw.api.client import ID, EcwClient
from ecw.errors import ConfigurationWrong, ExportGone, ExportRunning
from ecw.pull import staging, store
from ecw.pull.extract import fetch_wanted, read_between, told
from ecw.pull.options import Options
from ecw.pull.parts import PART_RECORDS, Parts
from ecw.pull.strategies import STRATEGIES, Ask, Known
from ecw.resources import Resource
from ecw.words import Batch, Run

LONGEST_WAIT = 600.0  # seconds between two looks, whatever the server asks for
log = logging.getLogger(__name__)


def export(run: Run, resource: Resource, client: EcwClient, options: Options, roster: Known) -> Batch | float:
    """Go on with the export of a resource as far as it goes now: return its batch, or seconds to wait.

    It is started where there is none; one that an earlier try has started is taken up.
    """
    try:
        start(run, resource, client, options)
    except ExportRunning as error:
        log.info("%s: %s", resource.name, error.what)
        return exports.RETRY_AFTER
    found = look(run, resource, client)
    if isinstance(found, Underway):
        return min(found.seconds, LONGEST_WAIT)
    return collect(run, resource, client, found, options, roster)


def start(run: Run, resource: Resource, client: EcwClient, options: Options) -> str:
    """Return the poll address of the run's export: the one kept by an earlier try, or a new one, kept first of all.

    Raises ExportRunning while another export of the practice is made.
    """
    if (kept := staging.read_json(_path(run, resource))) is not None:
        log.info("%s: the export is under way already.", resource.name)
        return str(kept["handle"])
    group = _group(client, options)
    at = datetime.now(UTC).isoformat()
    return exports.kick_off(
        client,
        group,
        [resource.fhir_type],
        lambda handle: staging.write_json(_path(run, resource), {"handle": handle, "at": at}),
    )


def look(run: Run, resource: Resource, client: EcwClient) -> Underway | Manifest:
    """Ask once how far the run's export is.

    Raises ExportGone when eCW does not know it any more; the next try starts a new one.
    """
    try:
        found = exports.poll(client, staging.read_json(_path(run, resource))["handle"])
    except ExportGone:
        store.remove(_path(run, resource))
        raise
    if isinstance(found, Underway):
        log.info("%s: the export is not ready (%s).", resource.name, found.progress or "no progress told")
    return found


def collect(
    run: Run, resource: Resource, client: EcwClient, manifest: Manifest, options: Options, roster: Known
) -> Batch:
    """Stage the files of a finished export, each one whole or not at all, and let eCW delete them.

    What others wait for and the group does not hold is read.
    """
    started, calls = time.monotonic(), client.calls
    exports.refuse_errors(client, manifest)
    parts = Parts(store.join(run["staging"], resource.name, "parts"))
    parts.resume()
    for file in manifest.files:
        kept = parts.progress.get(file.url)
        if file.fhir_type != resource.fhir_type or (kept is not None and kept.done):
            continue
        lines = exports.lines(client, file)
        while piece := list(islice(lines, PART_RECORDS)):
            parts.add(file.url, piece, None, done=False)
        parts.add(file.url, [], None, done=True)
    fetch_wanted(Ask(run, resource, options, roster, parts.seen), client, parts)
    path = store.join(run["staging"], resource.name, "extract.ndjson.gz")
    count = parts.finish(path)
    began = datetime.fromisoformat(staging.read_json(_path(run, resource))["at"])
    cancel(run, resource, client)
    batch = told(run, resource, "bulk", path, count, client.calls - calls, time.monotonic() - started)
    batch["completeness"] = STRATEGIES["bulk"].proof
    return batch | read_between(began, options)


def cancel(run: Run, resource: Resource, client: EcwClient) -> None:
    """Stop the run's export, or let its files be deleted; there need not be one."""
    if (kept := staging.read_json(_path(run, resource))) is not None:
        exports.cancel(client, str(kept["handle"]))
        store.remove(_path(run, resource))


def _group(client: EcwClient, options: Options) -> str:
    found = exports.groups(client)
    wanted = [group for group in found if options.bulk_group in (group.export_id, group.name)]
    if not options.bulk_group and len(found) == 1:
        wanted = found
    if len(wanted) != 1:
        raise ConfigurationWrong(
            f"The option bulk_group fits {len(wanted)} of the practice's {len(found)} groups.",
            # Their names are whatever somebody at the practice wrote, a doctor's or a patient's.
            next_move="set it to the name of one of the practice's groups in eCW, or to its id: "
            f"{', '.join(sorted(group.export_id for group in found if ID.fullmatch(group.export_id))) or 'none'}.",
        )
    return wanted[0].export_id


def _path(run: Run, resource: Resource) -> str:
    return store.join(run["staging"], resource.name, "export.json")
