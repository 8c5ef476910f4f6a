"""Fetch units side by side, page by page, into parts."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ecw.errors import BadRequest, InvalidResponse, RecordNotFound, ServerUnavailable, UnreadableRecord, WrongRecord
from ecw.fhir.paging import Page
from ecw.fhir.thread_pool import concurrent
from ecw.fhir.unreadable_records import reason_of, stand_in
from ecw.pull.extract.checkpoint import Progress
from ecw.pull.extract.context import ExtractContext
from ecw.pull.extract.search_request import SearchRequest
from ecw.pull.tombstone import merged_into, tombstone

if TYPE_CHECKING:
    from ecw.fhir.client import EcwClient

TRIES = 3  # of one link of a search
BREAKS = 12  # of one search: a server that makes new links all the time would never end
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """A unit under way."""

    unit: SearchRequest
    pages: Iterator[Page]


class Work:
    """The jobs to take up next: those with another page first, so that few are under way at a time.

    An iterator that can go on after its end, when a job has come back.
    """

    def __init__(
        self, client: EcwClient, fhir_type: str, units: Iterable[SearchRequest], progress: dict[str, Progress]
    ) -> None:
        self._client = client
        self._fhir_type = fhir_type
        self._units = iter(units)
        self._progress = progress
        self._back: deque[Job] = deque()

    def __iter__(self) -> Work:
        return self

    def __next__(self) -> Job:
        if self._back:
            return self._back.popleft()
        unit = next(unit for unit in self._units if not self._progress.get(unit.key, Progress()).done)
        return Job(unit, self._pages(unit))

    def come_back(self, job: Job) -> None:
        """Take a job up again for its next page."""
        self._back.append(job)

    def _pages(self, unit: SearchRequest) -> Iterator[Page]:
        return self._search(unit) if unit.ecw_id is None else self._record(unit.ecw_id)

    def _search(self, unit: SearchRequest) -> Iterator[Page]:
        """Yield a search's pages; a link that has gone stale or bad is no news on a busy server.

        The page before is asked for another link, and where that one breaks too, the search begins anew.
        """
        before, here = None, self._progress.get(unit.key, Progress()).next  # None: the first page
        broken: Counter[str | None] = Counter()
        while True:
            try:
                pages = self._client.pages(self._fhir_type, unit.params, start=here)
                while page := list(islice(pages, 1)):
                    before, here = here, page[0].next_url
                    yield page.pop()  # popped, so that this frame does not hold it while it waits
                return
            except (RecordNotFound, BadRequest, InvalidResponse) as error:
                broken[here] += 1
                refused_at_once = here is None and not isinstance(error, InvalidResponse)
                if refused_at_once and unit.optional:
                    log.warning("A search of %s by another character is refused; the others go on.", self._fhir_type)
                    yield Page([], None)
                    return
                if refused_at_once and self._patient_is_gone(unit):
                    log.warning("A search of %s: eCW has %s no more.", self._fhir_type, unit.key)
                    yield Page([], None)
                    return
                if refused_at_once or broken[here] == TRIES or broken.total() == BREAKS:
                    if here is None or isinstance(error, InvalidResponse):
                        raise
                    raise ServerUnavailable(
                        f"A search of {self._fhir_type}: the server does not go on from its own link to the next page, "
                        f"not when it is read from its beginning either ({error.what})",
                        next_step="try again: it is read from its beginning. If it happens again, "
                        "the server forgets its "
                        "searches too soon: choose another strategy in the connection's extra field `pull`.",
                    ) from None
                log.info("A chain of %s pages broke (%s); it is fixed.", self._fhir_type, type(error).__name__)
                before, here = None, before if broken[here] == 1 else None

    def _patient_is_gone(self, unit: SearchRequest) -> bool:
        """Return True if a search is refused because its patient is gone or merged away: then it speaks of nobody
        else."""
        ecw_id = unit.params.get("patient")
        if not isinstance(ecw_id, str):
            return False
        try:
            return merged_into(self._client.read("Patient", ecw_id)) is not None
        except (RecordNotFound, WrongRecord):
            return True

    def _record(self, ecw_id: str) -> Iterator[Page]:
        try:
            found = [self._client.read(self._fhir_type, ecw_id)]
        except RecordNotFound:
            found = [tombstone(self._fhir_type, ecw_id)]
        except UnreadableRecord as error:
            found = [stand_in(b"", error.what, self._fhir_type) | {"id": ecw_id}]
        except WrongRecord as error:
            # It proves nothing of the record asked for, which stays as the CRM has it; the others are not to suffer.
            log.warning("%s It is left out of this run. Next (%s): %s", error.what, error.who, error.next_step)
            found = []
        yield Page(found, None)


def fetch(ask: ExtractContext, client: EcwClient, units: Iterable[SearchRequest]) -> None:
    """Fetch every unit's pages that the parts do not hold yet.

    Raises InvalidResponse when a record does not fit its search: the server ignored the filter.
    """
    fhir_type, parts = ask.resource.fhir_type, ask.parts
    work = Work(client, fhir_type, units, parts.progress)
    try:
        for job, page in concurrent(lambda job: next(job.pages), work, ask.options.max_concurrency):
            _prove(job.unit, page.resources, fhir_type)
            if job.unit.page is not None:
                job.unit.page(page.resources)
            parts.add(job.unit.key, page.resources, page.next_url, done=page.next_url is None)
            if page.next_url is not None:
                work.come_back(job)
    finally:
        parts.flush()


def _prove(unit: SearchRequest, resources: list[dict[str, Any]], fhir_type: str) -> None:
    if any(unit.proves_ignored(resource) for resource in resources if not reason_of(resource)):
        raise InvalidResponse(
            f"A search of {fhir_type} by {' and '.join(unit.params)} brought records that do not fit it: "
            "the server ignored the filter.",
            next_step="choose another strategy for it in the connection's extra field `pull`, and ask eCW support.",
        )
