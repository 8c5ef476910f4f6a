"""Fetch the records of one resource from eCW into a batch, raw."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ecw.pull import store
from ecw.pull.parts import Parts
from ecw.pull.strategies import STRATEGIES, Unit
from ecw.resources import resource
from ecw.words import Batch, Run

if TYPE_CHECKING:
    from ecw.api.client import EcwClient

log = logging.getLogger(__name__)


def extract(run: Run, name: str, client: EcwClient, *, before: int | None = None) -> Batch:
    """Stage every record of a resource once, in its newest version.

    `before` is how many the last run fetched.  A task that was killed continues with the page it had not kept yet.
    """
    wanted = resource(name)
    strategy = STRATEGIES[wanted.strategy]
    started, calls = time.monotonic(), client.calls
    parts = Parts(store.join(run["staging"], name, "parts"))
    if parts.resume():
        log.info("%s: %d records are here from an earlier try.", name, len(parts.seen))
    log.info("%s: extracted by the strategy %s.", name, wanted.strategy)
    for unit in strategy():
        _fetch(client, wanted.fhir_type, unit, parts)
    path = store.join(run["staging"], name, "extract.ndjson.gz")
    count = parts.finish(path)
    seconds, calls = time.monotonic() - started, client.calls - calls
    log.info("%s: %d records fetched with %d calls in %.1f s.", name, count, calls, seconds)
    if before and not count:
        log.warning("%s: eCW answered with no record at all; the last run fetched %d.", name, before)
    return Batch(
        resource=name,
        path=path,
        count=count,
        fetched=count,
        rejected=0,
        unchanged=0,
        rejects=[],
        calls=calls,
        seconds=round(seconds, 3),
    )


def _fetch(client: EcwClient, fhir_type: str, unit: Unit, parts: Parts) -> None:
    found = parts.progress.get(unit.key)
    if found is not None and found.done:
        return
    for page in client.pages(fhir_type, unit.params, start=found.next if found else None):
        parts.add(unit.key, page.resources, page.next_url, done=page.next_url is None)
