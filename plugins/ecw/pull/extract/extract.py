"""Fetch the records of one resource from eCW into a batch, raw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from ecw.errors import BadRequest
from ecw.models import Batch, Run
from ecw.pull.extract.checkpoint import Parts
from ecw.pull.extract.context import ExtractContext, Known
from ecw.pull.extract.fetch import fetch
from ecw.pull.extract.missing import moved, required_ids
from ecw.pull.extract.rotation import longest_turn
from ecw.pull.extract.search_request import SearchRequest
from ecw.pull.extract.strategies import STRATEGIES, remaining_patients
from ecw.resources import Resource
from ecw.settings.pull import Options
from ecw.staging import batch_file, filesystem

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """What an extraction is about: a resource of a run, and the strategies, of which the first is used that eCW takes.

    `before` is how many records the last run fetched, `max_patients` how many patients may be queried one by one,
    `urgent` how many of those who matter now. `require` raises an error where a strategy cannot be relied on.
    """

    run: Run
    resource: Resource
    options: Options
    roster: Known
    strategies: Sequence[str]
    before: int | None = None
    max_patients: int | None = None
    urgent: int | None = None
    require: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an extraction brought: the staged file and its lines, API calls, seconds."""

    strategy: str
    path: str
    count: int
    calls: int
    seconds: float


def extract(request: ExtractRequest, client: EcwClient) -> Batch:
    """Stage every record once, in its newest version, by the first of the strategies that eCW does not refuse.

    A task that was killed continues with the page it had not kept yet.
    """
    run, resource, options = request.run, request.resource, request.options
    name, started, calls = resource.name, time.monotonic(), client.calls
    parts = Parts(filesystem.join(run["staging"], name, "parts"))
    if parts.resume():
        log.info("%s: %d records are here from an earlier try.", name, len(parts.seen))
    ask = ExtractContext(run, resource, options, request.roster, parts.seen, request.max_patients, request.urgent)
    strategy = _by_one_of(request, ask, client, parts)
    fetch_wanted(ask, client, parts)
    path = filesystem.join(run["staging"], name, "extract.ndjson.gz")
    count = parts.finish(path)
    found = Extracted(strategy, path, count, client.calls - calls, time.monotonic() - started)
    batch = finished_batch(run, resource, found, before=request.before)
    batch |= read_between(parts.began, options)
    batch["completeness"] = STRATEGIES[strategy].proof.format_map(ask.tally)
    if strategy == "per_patient" and (left := remaining_patients(ask)):
        by = ask.end + timedelta(hours=longest_turn(options))
        log.warning(
            "%s: %d patients were queried, the last changed first; the next runs query the other %d, by %s.",
            *(name, request.max_patients, left, f"{by:%Y-%m-%d %H:%M}Z"),
        )
        batch |= {"remaining_patients": left, "remaining_due_at": by.isoformat()}
    if STRATEGIES[strategy].depends_on == "patient" and (queried := batch_file.manifest(_queried(run, resource))):
        batch |= {"queried": _queried(run, resource), "patients_queried": queried["count"]}
    return batch


def fetch_wanted(ask: ExtractContext, client: EcwClient, parts: Parts) -> None:
    """Fetch what merges of patients moved, and what others wait for and did not come, unless the run is about a few."""
    if units := moved(ask):
        log.info("%s: %d searches and reads for patients who were merged.", ask.resource.name, len(units))
        fetch(client, ask.resource.fhir_type, units, parts, ask.options.max_concurrency)
    if not ask.options.few and (units := required_ids(ask)):
        log.info("%s: %d records that others wait for are looked for.", ask.resource.name, len(units))
        fetch(client, ask.resource.fhir_type, units, parts, ask.options.max_concurrency)


def read_between(began: datetime, options: Options) -> Batch:
    """Return from when to when eCW was asked, for the batch, and whether its answers hold whatever their versions."""
    until = datetime.now(UTC).isoformat()
    read = {"read_from": began.isoformat(), "read_until": until, "always": options.full or options.few}
    return cast(Batch, read)


def finished_batch(run: Run, resource: Resource, found: Extracted, *, before: int | None = None) -> Batch:
    """Return the batch of a finished extraction, and log its numbers; `before`: what the last run fetched."""
    name, full_scan = resource.name, STRATEGIES[found.strategy].full_scan
    log.info(
        "%s: %d records fetched by %s with %d calls in %.1f s.",
        *(name, found.count, found.strategy, found.calls, found.seconds),
    )
    if full_scan and before and not found.count:
        log.warning("%s: eCW answered with no record at all; the last run fetched %d.", name, before)
    return Batch(
        run=run,
        resource=name,
        path=found.path,
        count=found.count,
        fetched=found.count,
        rejected=0,
        unchanged=0,
        rejects=[],
        calls=found.calls,
        seconds=round(found.seconds, 3),
        full_scan=full_scan,
        strategy=found.strategy,
    )


def _by_one_of(request: ExtractRequest, ask: ExtractContext, client: EcwClient, parts: Parts) -> str:
    strategies = request.strategies
    for number, name in enumerate(strategies, 1):
        if request.require is not None:
            request.require(name)
        rounds = STRATEGIES[name].rounds
        if rounds is None:
            raise ValueError(f"{name} is an export")
        try:
            path = _queried(ask.run, ask.resource)
            with batch_file.writer(path) if STRATEGIES[name].depends_on == "patient" else nullcontext() as asked:
                for units in rounds(ask):
                    noted = units if asked is None else _noting(units, asked)
                    fetch(client, ask.resource.fhir_type, noted, parts, ask.options.max_concurrency)
        except BadRequest as error:
            # What eCW takes is known for sure only when it is asked: whether Location has a bare list is not.
            if number == len(strategies) or len(parts.seen):
                raise
            log.warning("%s: %s is refused (%s); %s instead.", ask.resource.name, name, error.what, strategies[number])
        else:
            return name
    raise ValueError("no strategy")


def _noting(units: Iterable[SearchRequest], asked: batch_file.Writer) -> Iterator[SearchRequest]:
    """Write down whom the units ask about, those of an earlier try included."""
    for unit in units:
        if patient := unit.params.get("patient"):  # the others are reads of single records
            asked.write({"patient": patient})
        yield unit


def _queried(run: Run, resource: Resource) -> str:
    return filesystem.join(run["staging"], resource.name, "asked.ndjson.gz")
