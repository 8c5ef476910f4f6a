"""Fetch searches and reads concurrently, page by page, and stage the pages."""

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
BREAKS = 12  # of one search, because a server that makes new links each time would never end
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Job:
    """A started request and its remaining pages."""

    request: SearchRequest
    pages: Iterator[Page]


class Work:
    """An iterator over the jobs to do next: started jobs with another page come first, so that few are open at a time.

    It can continue after StopIteration, when a job has come back.
    """

    def __init__(
        self, client: EcwClient, fhir_type: str, requests: Iterable[SearchRequest], progress: dict[str, Progress]
    ) -> None:
        self._client = client
        self._fhir_type = fhir_type
        self._requests = iter(requests)
        self._progress = progress
        self._started: deque[Job] = deque()

    def __iter__(self) -> Work:
        return self

    def __next__(self) -> Job:
        if self._started:
            return self._started.popleft()
        request = next(each for each in self._requests if not self._progress.get(each.key, Progress()).done)
        return Job(request, self._pages(request))

    def come_back(self, job: Job) -> None:
        """Put a job back for its next page."""
        self._started.append(job)

    def _pages(self, request: SearchRequest) -> Iterator[Page]:
        return self._search(request) if request.ecw_id is None else self._record(request.ecw_id)

    def _search(self, request: SearchRequest) -> Iterator[Page]:
        """Yield a search's pages; recover from broken links, which are common on a busy server.

        If a link fails, fetch the page before it again for a new link. If the new link fails too, start the search
        again from its first page.
        """
        previous, current = None, self._progress.get(request.key, Progress()).next  # links; None: the first page
        broken: Counter[str | None] = Counter()
        while True:
            try:
                pages = self._client.pages(self._fhir_type, request.params, start=current)
                while page := list(islice(pages, 1)):
                    previous, current = current, page[0].next_url
                    yield page.pop()  # popped, so that this frame does not hold it while it waits
                return
            except (RecordNotFound, BadRequest, InvalidResponse) as error:
                broken[current] += 1
                refused_at_once = current is None and not isinstance(error, InvalidResponse)
                if refused_at_once and request.optional:
                    log.warning("eCW refuses an optional search of %s; the others continue.", self._fhir_type)
                    yield Page([], None)
                    return
                if refused_at_once and self._patient_is_gone(request):
                    log.warning("A search of %s: eCW no longer has %s.", self._fhir_type, request.key)
                    yield Page([], None)
                    return
                if refused_at_once or broken[current] == TRIES or broken.total() == BREAKS:
                    if current is None or isinstance(error, InvalidResponse):
                        raise
                    raise ServerUnavailable(
                        f"A search of {self._fhir_type}: the server's own link to the next page fails, also after the "
                        f"search was started again ({error.what})",
                        next_step="try again: the search starts from its first page. If it happens again, the server "
                        "forgets its searches too soon: choose another strategy in the extra field `pull`.",
                    ) from None
                log.info(
                    "A link to the next page of %s failed (%s); it is fetched again.",
                    *(self._fhir_type, type(error).__name__),
                )
                previous, current = None, previous if broken[current] == 1 else None

    def _patient_is_gone(self, request: SearchRequest) -> bool:
        """Return True if the search's patient was deleted or merged: then the refusal concerns no other search."""
        ecw_id = request.params.get("patient")
        if not isinstance(ecw_id, str):
            return False
        try:
            return merged_into(self._client.read("Patient", ecw_id)) is not None
        except (RecordNotFound, WrongRecord):
            return True

    def _record(self, ecw_id: str) -> Iterator[Page]:
        try:
            records = [self._client.read(self._fhir_type, ecw_id)]
        except RecordNotFound:
            records = [tombstone(self._fhir_type, ecw_id)]
        except UnreadableRecord as error:
            records = [stand_in(b"", error.what, self._fhir_type) | {"id": ecw_id}]
        except WrongRecord as error:
            # The answer proves nothing about this record: the CRM's row stays as it is, and the extraction goes on.
            log.warning("%s It is left out of this run. Next (%s): %s", error.what, error.who, error.next_step)
            records = []
        yield Page(records, None)


def fetch(context: ExtractContext, client: EcwClient, requests: Iterable[SearchRequest]) -> None:
    """Fetch and stage the pages of every request that are not staged yet.

    Raises InvalidResponse if a record does not fit its search: the server ignored the filter.
    """
    fhir_type, checkpoint = context.resource.fhir_type, context.checkpoint
    work = Work(client, fhir_type, requests, checkpoint.progress)
    try:
        for job, page in concurrent(lambda job: next(job.pages), work, context.options.max_concurrency):
            _require_filtered(job.request, page.resources, fhir_type)
            if job.request.page is not None:
                job.request.page(page.resources)
            checkpoint.add(job.request.key, page.resources, page.next_url, done=page.next_url is None)
            if page.next_url is not None:
                work.come_back(job)
    finally:
        checkpoint.flush()


def _require_filtered(request: SearchRequest, resources: list[dict[str, Any]], fhir_type: str) -> None:
    if any(request.proves_ignored(resource) for resource in resources if not reason_of(resource)):
        raise InvalidResponse(
            f"A search of {fhir_type} by {' and '.join(request.params)} returned records that do not fit it: "
            "the server ignored the filter.",
            next_step="choose another strategy for it in the connection's extra field `pull`, and ask eCW support.",
        )
