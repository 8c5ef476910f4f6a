"""The strategy `last_updated`: fetch the records that changed within a window, even if some move while it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, overload

from ecw.errors import ServerUnavailable
from ecw.fhir.fingerprint import content_hash
from ecw.pull.extract.context import ExtractContext, Rounds
from ecw.pull.extract.dedupe import last_updated as time_of_change
from ecw.pull.extract.missing import of_list
from ecw.pull.extract.search_request import SearchRequest, read

PASSES = 3  # over a window, before it is halved


def last_updated(context: ExtractContext) -> Rounds:
    """Search by the time of the last change, in repeated passes, until two passes return the same records.

    Without a start, also read the known records that are missing from the result.

    A server may cut its pages by counting. If a record is edited or deleted meanwhile, it leaves the window, the others
    move up, and one moves from an unread page to a page that was already read. The next pass shows this: its ids or
    versions differ. A result of one page needs no second pass.
    """
    yield from _settled(context, _second(context.start), _second(context.end))
    if context.start is None and (missing := of_list(context)):
        yield map(read, missing)


def _settled(context: ExtractContext, start: datetime | None, end: datetime) -> Rounds:
    """Search a window until two passes agree; after PASSES passes, halve it and search the older half first.

    Raises ServerUnavailable if the window cannot be halved.
    """
    previous: Pass | None = None
    for number in range(1, PASSES + 1):
        latest = Pass()
        yield [_changed(start, end, number, latest)]
        if latest.pages == 1 or (previous is not None and latest.records == previous.records):
            return
        previous = latest
    middle = _middle(latest, start, end)
    if middle is None:
        raise ServerUnavailable(
            f"{context.resource.fhir_type}: {PASSES} passes over records with the same time of change all differ.",
            next_step="try again; if it happens again, "
            "choose another strategy for it in the connection's extra field `pull`.",
        )
    yield from _settled(context, start, middle)
    yield from _settled(context, middle, end)


def _changed(start: datetime | None, end: datetime, number: int, current: Pass) -> SearchRequest:
    bounds = ([] if start is None else [f"ge{start.isoformat()}"]) + [f"lt{end.isoformat()}"]

    def holds(record: Mapping[str, Any]) -> bool:
        changed = time_of_change(record)
        return start is None or (changed is not None and datetime.fromisoformat(changed) >= start)

    # The key has the bounds, because a search of another window has other pages.
    return SearchRequest(
        f"changed {' '.join(bounds)} pass {number}", {"_lastUpdated": bounds}, holds=holds, page=current.page
    )


@overload
def _second(moment: datetime) -> datetime: ...
@overload
def _second(moment: datetime | None) -> datetime | None: ...
def _second(moment: datetime | None) -> datetime | None:
    """Return the time in UTC without fractions: servers compare seconds or milliseconds, and round finer times."""
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0)


def _middle(latest: Pass, start: datetime | None, end: datetime) -> datetime | None:
    """Return a second that splits the window so that both halves have records; None if there is none."""
    inside = sorted(second for each in latest.changed if (second := _second(each)) < end)
    middle = next((each for each in inside[len(inside) // 2 :] if each > (start or inside[0])), None)
    return middle or next((each for each in reversed(inside) if each > (start or inside[0])), None)


class Pass:
    """The result of one pass over a search."""

    def __init__(self) -> None:
        self.pages = 0
        self.records: set[bytes] = set()  # digests of ids and versions
        self.changed: list[datetime] = []

    def page(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the records of one page."""
        self.pages += 1
        for record in records:
            changed = time_of_change(record)
            version = f"{record.get('id')} {changed or content_hash(record)}"
            self.records.add(blake2b(version.encode(), digest_size=12).digest())
            if changed is not None:
                self.changed.append(datetime.fromisoformat(changed))
