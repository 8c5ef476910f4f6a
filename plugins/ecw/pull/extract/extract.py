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
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

Require = Callable[[str], None]
log = logging.getLogger(__name__)


def extract_records(
    ask: ExtractContext,
    client: EcwClient,
    strategies: Sequence[str],
    *,
    before: int | None = None,
    require: Require | None = None,
) -> Batch:
    """Stage every record once, in its newest version, by the first of the strategies that eCW does not refuse.

    A task that was killed continues with the page it had not kept yet. `before` is how many records the last run
    fetched; `require` raises an error where a strategy cannot be relied on.
    """
    name, started, calls = ask.resource.name, time.monotonic(), client.calls
    if ask.parts.resume():
        log.info("%s: %d records are here from an earlier try.", name, len(ask.seen))
    strategy = _by_one_of(ask, client, strategies, require)
    fetch_wanted(ask, client)
    batch = finished_batch(ask, strategy, client.calls - calls, started, ask.parts.began)
    if batch["full_scan"] and before and not batch["count"]:
        log.warning("%s: eCW answered with no record at all; the last run fetched %d.", name, before)
    if strategy == "per_patient":
        _note_remaining(ask, batch)
    if STRATEGIES[strategy].depends_on == "patient" and (queried := batch_file.manifest(_queried(ask))):
        batch |= {"queried": _queried(ask), "patients_queried": queried["count"]}
    return batch


def fetch_wanted(ask: ExtractContext, client: EcwClient) -> None:
    """Fetch what merges of patients moved, and what others wait for and did not come, unless the run is about a few."""
    if units := moved(ask):
        log.info("%s: %d searches and reads for patients who were merged.", ask.resource.name, len(units))
        fetch(ask, client, units)
    if not ask.options.few and (units := required_ids(ask)):
        log.info("%s: %d records that others wait for are looked for.", ask.resource.name, len(units))
        fetch(ask, client, units)


def finished_batch(ask: ExtractContext, strategy: str, calls: int, started: float, read_from: datetime) -> Batch:
    """Make the batch of what was fetched, and log its numbers.

    `started` is a time of time.monotonic(), `read_from` when eCW was asked first. What eCW says of everything, or of
    single records, holds whatever its version.
    """
    name, row = ask.resource.name, STRATEGIES[strategy]
    path = filesystem.join(ask.folder, "extract.ndjson.gz")
    count = ask.parts.finish(path)
    seconds = time.monotonic() - started
    log.info("%s: %d records fetched by %s with %d calls in %.1f s.", name, count, strategy, calls, seconds)
    batch = fetched_batch(ask.run, name, path, count, calls=calls, seconds=seconds)
    return batch | {
        "full_scan": row.full_scan,
        "strategy": strategy,
        "completeness": row.proof.format_map(ask.tally),
        "read_from": read_from.isoformat(),
        "read_until": datetime.now(UTC).isoformat(),
        "always": ask.options.full or ask.options.few,
    }


def _by_one_of(ask: ExtractContext, client: EcwClient, strategies: Sequence[str], require: Require | None) -> str:
    """Fetch by the first strategy that eCW does not refuse; return its name."""
    for number, name in enumerate(strategies, 1):
        if require is not None:
            require(name)
        try:
            _by(name, ask, client)
        except BadRequest as error:
            # What eCW takes is known for sure only when it is asked: whether Location has a bare list is not.
            if number == len(strategies) or len(ask.seen):
                raise
            log.warning("%s: %s is refused (%s); %s instead.", ask.resource.name, name, error.what, strategies[number])
        else:
            return name
    raise ValueError("no strategy")


def _by(name: str, ask: ExtractContext, client: EcwClient) -> None:
    """Fetch by one strategy, round by round; one that asks patient by patient leaves a list of them."""
    strategy = STRATEGIES[name]
    if strategy.rounds is None:
        raise ValueError(f"{name} is an export")
    with batch_file.writer(_queried(ask)) if strategy.depends_on == "patient" else nullcontext() as queried:
        for units in strategy.rounds(ask):
            fetch(ask, client, units if queried is None else _noting(units, queried))


def _noting(units: Iterable[SearchRequest], queried: batch_file.Writer) -> Iterator[SearchRequest]:
    """Write down whom the units ask about, those of an earlier try included."""
    for unit in units:
        if patient := unit.params.get("patient"):  # the others are reads of single records
            queried.write({"patient": patient})
        yield unit


def _note_remaining(ask: ExtractContext, batch: Batch) -> None:
    """Note in the batch how many patients a first look leaves to the next runs, and by when; nothing where none."""
    left = remaining_patients(ask)
    if not left:
        return
    by = ask.end + timedelta(hours=longest_turn(ask.options))
    log.warning(
        "%s: %d patients were queried, the last changed first; the next runs query the other %d, by %s.",
        *(ask.resource.name, ask.max_patients, left, f"{by:%Y-%m-%d %H:%M}Z"),
    )
    batch |= {"remaining_patients": left, "remaining_due_at": by.isoformat()}


def _queried(ask: ExtractContext) -> str:
    return filesystem.join(ask.folder, "asked.ndjson.gz")
