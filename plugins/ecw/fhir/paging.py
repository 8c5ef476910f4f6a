"""Read a search page by page; the loop always ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import orjson

from ecw.errors import InvalidResponse, UnreadableRecord
from ecw.fhir.unreadable_records import NO_OBJECT, reason_of, stand_in
from ecw.fhir.urls import parameter, pinned, without_values

MAX_PAGES = 20_000  # more than any practice has; limits a server that invents `next` links
Json = dict[str, Any]


class Page(NamedTuple):
    """The resources of one page, stand-ins of unreadable ones included, and the URL of the next page or None."""

    resources: list[Json]
    next_url: str | None


def pages(
    first: str, fetch: Callable[[str], Json], base_url: str, unsupported: Callable[[str], frozenset[str]]
) -> Iterator[Page]:
    """Yield the pages, following the server's `next` links.

    `fetch` reads one URL; `unsupported` returns the parameters to remove from a link. A result without hits has no
    `entry`; a page without entries can still have a next page. `Bundle.total` can be wrong: it is used only for a next
    link without a URL.

    Raises InvalidResponse for a link to a page already read, a link to another server, or more than MAX_PAGES pages.
    """
    url: str | None = first
    visited: set[str] = set()
    progress = _Progress(first)
    while url is not None:
        if url in visited:
            raise InvalidResponse(
                f"The pages of {without_values(first)} lead back to one already read, after {len(visited)}.",
                next_step="try again once; if it happens again, "
                "ask eCW support: a list that never ends cannot be complete.",
            )
        if len(visited) >= MAX_PAGES:
            raise InvalidResponse(
                f"The pages of {without_values(first)} do not end: {len(visited)} read.",
                next_step="ask eCW support; a narrower search may have an end.",
            )
        visited.add(url)
        url, page = _one(fetch(url), progress, partial(_pin, base_url, unsupported, url))
        # Popped, so that this frame does not keep the page in memory while it waits: many searches run at a time.
        yield page.pop()


def _pin(base_url: str, unsupported: Callable[[str], frozenset[str]], page: str, link: str) -> str:
    return pinned(link, base_url, unsupported(link), page=page)


@dataclass(slots=True)
class _Progress:
    """The progress of a search; it distinguishes a last page from one whose next link lacks its URL."""

    first: str
    records: int = 0
    largest: int = 0

    def require_end(self, bundle: Json, records: int) -> None:
        """Raise InvalidResponse if a page whose next link has no URL seems not to be the last one."""
        total = bundle.get("total")
        size = int(count) if (count := parameter(self.first, "_count")).isdecimal() else self.largest
        whole = self.records >= total if isinstance(total, int) else records < size
        if records and not whole:
            raise InvalidResponse(
                f"A page of {without_values(self.first)} has a next page, but its next link has no url, "
                f"after {self.records} records.",
                next_step="try again; if it happens again, "
                "choose another strategy for this resource in the connection's extra "
                "field `pull`, and ask the operator of the server.",
            )


def _one(bundle: Json, progress: _Progress, pin: Callable[[str], str]) -> tuple[str | None, list[Page]]:
    link, found = next_link(bundle), resources_of(bundle, progress.first)
    progress.records += len(found)
    progress.largest = max(progress.largest, len(found))
    if link == "":
        progress.require_end(bundle, len(found))
    following = pin(link) if link else None
    return following, [Page(found, following)]


def next_link(bundle: Json) -> str | None:
    """Return the URL of the next page, None without a next link, "" if the link has no URL (FHIR R4, Bundle.link)."""
    links = bundle.get("link") or []
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise InvalidResponse(
            "A page's links are not FHIR: it is not known if there is another page.",
            next_step="ask eCW support; nothing of the page was used.",
        )
    return max((str(link.get("url") or "") for link in links if link.get("relation") == "next"), default=None)


def resources_of(bundle: Json, where: str) -> list[Json]:
    """Return the resources of a searchset without its OperationOutcomes; stand-ins replace unreadable ones.

    Raises InvalidResponse if it is not a searchset, if an entry is empty, or if an OperationOutcome holds an error.
    """
    entries = bundle.get("entry") or []
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset" or not isinstance(entries, list):
        raise InvalidResponse(
            f"{without_values(where)} answered with something other than a searchset.",
            next_step="check that the connection's base URL is the practice's FHIR API.",
        )
    found: list[Json] = []
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else entry
        if resource and not isinstance(resource, dict):
            resource = stand_in(orjson.dumps(resource), NO_OBJECT)
        if not resource:
            raise InvalidResponse(
                f"{without_values(where)} answered with an entry that holds no record.",
                next_step="ask eCW support; nothing of the page was used.",
            )
        if resource.get("resourceType") != "OperationOutcome":
            found.append(resource)
        elif reason_of(resource) or _has_error(resource.get("issue") or []):
            raise InvalidResponse(
                f"{without_values(where)} answered with a page that holds an error of the server.",
                next_step="try again; if it happens again, ask for less, or ask eCW support.",
            )
    return found


def refuse_unreadable(resources: list[Json], where: str) -> list[Json]:
    """Return the resources unchanged, for a caller that needs every one of them.

    Raises UnreadableRecord if one of them is unreadable.
    """
    for resource in resources:
        if reason := reason_of(resource):
            raise UnreadableRecord(
                f"{without_values(where)} answered with a record that cannot be read: {reason}.",
                next_step=f"ask eCW support to fix the record with the id {resource.get('id', '(not readable)')!r}.",
            )
    return resources


def _has_error(issues: Any) -> bool:
    """Return True if an issue is an error, or if the issues are not FHIR, because then they may be errors."""
    if not isinstance(issues, list) or not all(isinstance(issue, dict) for issue in issues):
        return True
    return any(issue.get("severity") in {"error", "fatal"} for issue in issues)
