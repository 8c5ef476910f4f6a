"""Fetch the records of one resource from eCW into a batch, raw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ecw.errors import BadRequest
from ecw.models import Batch, fetched_batch
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.fetch import fetch
from ecw.pull.extract.missing import moved, required_ids
from ecw.pull.extract.rotation import longest_turn
from ecw.pull.extract.search_request import SearchRequest
from ecw.pull.extract.strategies import STRATEGIES, remaining_patients
from ecw.resources import StrategyName
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

Require = Callable[[str], None]
log = logging.getLogger(__name__)


def extract_records(
    context: ExtractContext,
    client: EcwClient,
    strategies: Sequence[str],
    *,
    before: int | None = None,
    require: Require | None = None,
) -> Batch:
    """Stage every record once, in its newest version, by the first of the strategies that eCW does not refuse.

    A task that was killed continues with the first page that is not staged yet. `before` is the number of records that
    the last run fetched; `require` raises an error if a strategy lacks its prerequisites.
    """
    name, started, calls = context.resource.name, time.monotonic(), client.calls
    if context.checkpoint.resume():
        log.info("%s: %d records are staged by an earlier try.", name, len(context.seen))
    strategy = _by_one_of(context, client, strategies, require)
    fetch_wanted(context, client)
    batch = finished_batch(context, strategy, client.calls - calls, started, context.checkpoint.began)
    if batch["full_scan"] and before and not batch["count"]:
        log.warning("%s: eCW returned no records; the last run fetched %d.", name, before)
    if strategy == StrategyName.PER_PATIENT:
        _note_remaining(context, batch)
    if STRATEGIES[strategy].depends_on == "patient" and (queried := batch_file.manifest(_queried(context))):
        batch |= {"queried": _queried(context), "patients_queried": queried["count"]}
    return batch


def fetch_wanted(context: ExtractContext, client: EcwClient) -> None:
    """Fetch the records of merged patients, and the missing records that deferred rows wait for.

    Do nothing in a run about a few records.
    """
    if requests := moved(context):
        log.info("%s: %d searches and reads for patients who were merged.", context.resource.name, len(requests))
        fetch(context, client, requests)
    if not context.options.few and (requests := required_ids(context)):
        log.info("%s: %d records that other rows wait for are read.", context.resource.name, len(requests))
        fetch(context, client, requests)


def finished_batch(context: ExtractContext, strategy: str, calls: int, started: float, read_from: datetime) -> Batch:
    """Write the fetched records as a batch, log its numbers and return it.

    `started` is a time of time.monotonic(), `read_from` the time before the first call. The batch is marked `always` if
    a person chose the records or asked for a full pull: then they are loaded whatever their version.
    """
    name, row = context.resource.name, STRATEGIES[strategy]
    path = filesystem.join(context.folder, "extract.ndjson.gz")
    count = context.checkpoint.finish(path)
    seconds = time.monotonic() - started
    log.info("%s: %d records fetched by %s with %d calls in %.1f s.", name, count, strategy, calls, seconds)
    batch = fetched_batch(context.run, name, path, count, calls=calls, seconds=seconds)
    return batch | {
        "full_scan": row.full_scan,
        "strategy": str(strategy),
        "completeness": row.proof.format_map(context.tally),
        "read_from": read_from.isoformat(),
        "read_until": datetime.now(UTC).isoformat(),
        "always": context.options.full or context.options.few,
    }


def _by_one_of(context: ExtractContext, client: EcwClient, strategies: Sequence[str], require: Require | None) -> str:
    """Fetch by the first strategy that eCW does not refuse; return its name."""
    for number, name in enumerate(strategies, 1):
        if require is not None:
            require(name)
        try:
            _by(name, context, client)
        except BadRequest as error:
            # Only a call shows what eCW accepts: whether Location can be listed without parameters is undocumented.
            if number == len(strategies) or len(context.seen):
                raise
            log.warning(
                "%s: %s is refused (%s); %s instead.", context.resource.name, name, error.what, strategies[number]
            )
        else:
            return name
    raise ValueError("no strategy")


def _by(name: str, context: ExtractContext, client: EcwClient) -> None:
    """Fetch by one strategy, round by round; a strategy that queries patients writes the list of them."""
    strategy = STRATEGIES[name]
    if strategy.rounds is None:
        raise ValueError(f"{name} is an export")
    with batch_file.writer(_queried(context)) if strategy.depends_on == "patient" else nullcontext() as queried:
        for requests in strategy.rounds(context):
            fetch(context, client, requests if queried is None else _record_patients(requests, queried))


def _record_patients(requests: Iterable[SearchRequest], queried: batch_file.Writer) -> Iterator[SearchRequest]:
    """Write the patients of the requests to a file, including those that an earlier try has queried."""
    for request in requests:
        if patient := request.params.get("patient"):  # the others are reads of single records
            queried.write({"patient": patient})
        yield request


def _note_remaining(context: ExtractContext, batch: Batch) -> None:
    """Add to the batch how many patients an initial sync leaves to the next runs, and until when, if any."""
    left = remaining_patients(context)
    if not left:
        return
    by = context.end + timedelta(hours=longest_turn(context.options))
    log.warning(
        "%s: %d patients were queried, the last changed first; the next runs query the other %d, by %s.",
        *(context.resource.name, context.max_patients, left, f"{by:%Y-%m-%d %H:%M}Z"),
    )
    batch |= {"remaining_patients": left, "remaining_due_at": by.isoformat()}


def _queried(context: ExtractContext) -> str:
    return filesystem.join(context.folder, "asked.ndjson.gz")
