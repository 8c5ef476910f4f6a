"""The strategy `last_updated`: what changed within a window, although records move while it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, overload

from ecw.errors import ServerUnavailable
from ecw.fhir.fingerprint import content_hash
from ecw.pull.extract.context import ExtractContext, Rounds
from ecw.pull.extract.dedupe import last_updated as its_time
from ecw.pull.extract.missing import of_list
from ecw.pull.extract.search_request import SearchRequest, read

PASSES = 3  # over a window by the time of change, before it is halved


def last_updated(ask: ExtractContext) -> Rounds:
    """Search by the time of the last change, pass after pass until one in which nothing moved; of everything, read what
    is missing.

    A server may cut its pages by counting: a record that is edited, or deleted, while they are read leaves the window,
    the others move up, and one slips from a page that is still to come to one that was read. That is seen in the next
    pass: the record that moved is not among those found, or not in that version. One page holds still.
    """
    yield from _settled(ask, _second(ask.start), _second(ask.end))
    if ask.start is None and (missing := of_list(ask)):
        yield map(read, missing)


def _settled(ask: ExtractContext, start: datetime | None, end: datetime) -> Rounds:
    """Search a window until nothing moves; one that does not come to rest is halved, the older half first."""
    before: Pass | None = None
    for number in range(1, PASSES + 1):
        found = Pass()
        yield [_changed(start, end, number, found)]
        if found.pages == 1 or (before is not None and found.records == before.records):
            return
        before = found
    middle = _middle(found, start, end)
    if middle is None:
        raise ServerUnavailable(
            f"{ask.resource.fhir_type}: records that changed at one time moved in each of {PASSES} passes over them.",
            next_step="try again; if it happens again, "
            "choose another strategy for it in the connection's extra field `pull`.",
        )
    yield from _settled(ask, start, middle)
    yield from _settled(ask, middle, end)


def _changed(start: datetime | None, end: datetime, number: int, found: Pass) -> SearchRequest:
    bounds = ([] if start is None else [f"ge{start.isoformat()}"]) + [f"lt{end.isoformat()}"]

    def holds(record: Mapping[str, Any]) -> bool:
        changed = its_time(record)
        return start is None or (changed is not None and datetime.fromisoformat(changed) >= start)

    # With the bounds: another window's pages are another search's.
    return SearchRequest(
        f"changed {' '.join(bounds)} pass {number}", {"_lastUpdated": bounds}, holds=holds, page=found.page
    )


@overload
def _second(moment: datetime) -> datetime: ...
@overload
def _second(moment: datetime | None) -> datetime | None: ...
def _second(moment: datetime | None) -> datetime | None:
    """Return the whole second in UTC: servers compare to the second or the millisecond, and round what is finer."""
    return None if moment is None else moment.astimezone(UTC).replace(microsecond=0)


def _middle(found: Pass, start: datetime | None, end: datetime) -> datetime | None:
    """Return a second by which a window can be halved so that records are on both sides; None where there is none."""
    inside = sorted(second for each in found.changed if (second := _second(each)) < end)
    middle = next((each for each in inside[len(inside) // 2 :] if each > (start or inside[0])), None)
    return middle or next((each for each in reversed(inside) if each > (start or inside[0])), None)


class Pass:
    """What one pass over a search has found."""

    def __init__(self) -> None:
        self.pages = 0
        self.records: set[bytes] = set()  # digests of ids and versions
        self.changed: list[datetime] = []

    def page(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Note one page."""
        self.pages += 1
        for record in records:
            changed = its_time(record)
            said = f"{record.get('id')} {changed or content_hash(record)}"
            self.records.add(blake2b(said.encode(), digest_size=12).digest())
            if changed is not None:
                self.changed.append(datetime.fromisoformat(changed))
