"""Find rejected records in the staging area, in the batches of the runs that rejected them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ecw.crm.db.enums import DELETED, RejectStep
from ecw.crm.load.deferred import RULE as DEFERRED
from ecw.crm.load.quarantine import Reject
from ecw.errors import CorruptBatch
from ecw.models import Run
from ecw.pull.extract.checkpoint import Checkpoint
from ecw.pull.map_records import ecw_id_of
from ecw.staging import batch_file, filesystem

MOST_NAMED = 20  # the most ids in one message
PAGE = 100  # records in memory at a time


def collect_records(run: Run, resource: str, rejects: Iterable[Reject]) -> tuple[str, int, list[str]]:
    """Stage the rejected records as the resource's extract batch.

    Return the batch's path, the number of records, and sentences about the records that cannot be replayed. Deferred
    rows are left out: the load tries them again by itself.
    """
    folder = filesystem.join(run["staging"], resource)
    root = batch_file.practice_folder(run["staging"])
    files: dict[str, set[str]] = defaultdict(set)
    pushed, deleted, chosen = set(), set(), set()
    for reject in rejects:
        if reject.step == RejectStep.PUSH:
            pushed.add(reject.ecw_id)
        elif reject.rule == DELETED:
            deleted.add(reject.ecw_id)
        elif reject.rule != DEFERRED:
            chosen.add(reject.ecw_id)
            # A reject of the load names no batch; its record is in the extract batch of its run.
            default = filesystem.join(root, batch_file.segment(reject.last_run), resource, "extract.ndjson.gz")
            files[reject.batch or default].add(reject.ecw_id)
    filesystem.remove(filesystem.join(folder, "parts"))
    checkpoint = Checkpoint(filesystem.join(folder, "parts"))
    found: set[str] = set()
    absent = []
    for path in sorted(files, key=lambda path: (_begun(path), path)):
        if not _is_complete(path):
            absent.append(path)
            continue
        records = _records(path, files[path], found)
        while page := list(islice(records, PAGE)):
            checkpoint.add(path, page, None, done=False)
    path = filesystem.join(folder, "extract.ndjson.gz")
    return path, checkpoint.finish(path), list(_not_replayed(pushed, deleted, chosen - found, absent))


def _records(path: str, chosen: set[str], found: set[str]) -> Iterator[Mapping[str, Any]]:
    for record in batch_file.read(path):
        if (ecw_id := ecw_id_of(record)) in chosen:
            found.add(ecw_id)
            yield record


def _is_complete(path: str) -> bool:
    """Return True if a batch exists and is complete; check it before any of its records is used."""
    try:
        for _ in batch_file.read_lines(path):
            pass
    except (CorruptBatch, OSError):
        return False
    return True


def _begun(path: str) -> str:
    """Return when the batch's run began: batches are read in this order, so later versions replace earlier ones."""
    folder = path.rpartition("/")[0].rpartition("/")[0]
    run_file = batch_file.read_json(filesystem.join(folder, "run.json"))
    return str(run_file["begun"]) if run_file else ""


def _not_replayed(pushed: set[str], deleted: set[str], missing: set[str], absent: list[str]) -> Iterator[str]:
    """Yield a sentence for each reason why records cannot be replayed."""
    if missing:
        where = f" ({len(absent)} staged batches are absent or damaged)" if absent else ""
        yield (
            f"{len(missing)} records are no longer in the staging area{where}: {_named(missing)}. "
            "Next (data engineer): pull them by these ids with ecw_pull's form."
        )
    if deleted:
        yield f"{len(deleted)} records are no longer in eCW and cannot be replayed: {_named(deleted)}."
    if pushed:
        yield (
            f"{len(pushed)} rejects are of a push and cannot be replayed: {_named(pushed)}. "
            "Next (CRM administrator): fix the patients in the CRM; the next push sends them."
        )


def _named(ids: set[str]) -> str:
    named = ", ".join(sorted(ids)[:MOST_NAMED])
    return named if len(ids) <= MOST_NAMED else f"{named} and {len(ids) - MOST_NAMED} more"
