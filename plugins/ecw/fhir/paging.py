"""From one page of a search to the next, to an end that is always reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import orjson

from ecw.errors import InvalidResponse, UnreadableRecord
from ecw.fhir.unreadable_records import NO_OBJECT, reason_of, stand_in
from ecw.fhir.urls import parameter, pinned, without_values

MAX_PAGES = 20_000  # no practice has as many; a server that invents links would never end
Json = dict[str, Any]


class Page(NamedTuple):
    """The resources of one page, unreadable ones included, and where the next one is; None at the end."""

    resources: list[Json]
    next_url: str | None


def pages(
    first: str, fetch: Callable[[str], Json], base_url: str, unsupported: Callable[[str], frozenset[str]]
) -> Iterator[Page]:
    """Yield the pages along the server-made `next` links.

    `fetch` reads one address; `unsupported` names the parameters that a link may not keep. `Bundle.total` can
    be wrong and is not read. An empty result has no `entry`; a page without entries can still have a next one.

    Raises InvalidResponse for a link that leads back, elsewhere, or never to an end.
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
        # Popped, so that this frame does not hold the page while it waits: many searches are under way at a time.
        yield page.pop()


def _pin(base_url: str, unsupported: Callable[[str], frozenset[str]], page: str, link: str) -> str:
    return pinned(link, base_url, unsupported(link), page=page)


@dataclass(slots=True)
class _Progress:
    """How far a search has come, which tells a last page from one whose next link was forgotten."""

    first: str
    records: int = 0
    largest: int = 0

    def require_end(self, bundle: Json, records: int) -> None:
        """Raise InvalidResponse where a page seems not to be the last one, although it does not say where to go on."""
        total = bundle.get("total")
        size = int(asked) if (asked := parameter(self.first, "_count")).isdecimal() else self.largest
        whole = self.records >= total if isinstance(total, int) else records < size
        if records and not whole:
            raise InvalidResponse(
                f"A page of {without_values(self.first)} says that there is another one, and not where: "
                f"its next link has no url, after {self.records} records.",
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
    """Return the address of the next page, None at the end, "" where a link has none (FHIR R4, Bundle.link)."""
    links = bundle.get("link") or []
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise InvalidResponse(
            "A page's links are not FHIR, so whether there is another page is not known.",
            next_step="ask eCW support; nothing of the page was used.",
        )
    return max((str(link.get("url") or "") for link in links if link.get("relation") == "next"), default=None)


def resources_of(bundle: Json, where: str) -> list[Json]:
    """Return the resources of a searchset, the server's remarks left out; unreadable ones have stand-ins.

    Raises InvalidResponse for anything else than a searchset, for an empty entry, and when a remark is an error.
    """
    entries = bundle.get("entry") or []
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "searchset" or not isinstance(entries, list):
        raise InvalidResponse(
            f"{without_values(where)} answered with something else than a searchset.",
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
        elif reason_of(resource) or _tells_of_error(resource.get("issue") or []):
            raise InvalidResponse(
                f"{without_values(where)} answered with a page that holds an error of the server.",
                next_step="try again; if it happens again, ask for less, or ask eCW support.",
            )
    return found


def refuse_unreadable(resources: list[Json], where: str) -> list[Json]:
    """Return the resources, for a caller who must know each of them.

    Raises UnreadableRecord.
    """
    for resource in resources:
        if reason := reason_of(resource):
            raise UnreadableRecord(
                f"{without_values(where)} answered with a record that cannot be read: {reason}.",
                next_step=f"ask eCW support to fix the record with the id {resource.get('id', '(not readable)')!r}.",
            )
    return resources


def _tells_of_error(issues: Any) -> bool:
    """Return True also where the issues are not FHIR: what they tell of is not known then."""
    if not isinstance(issues, list) or not all(isinstance(issue, dict) for issue in issues):
        return True
    return any(issue.get("severity") in {"error", "fatal"} for issue in issues)
