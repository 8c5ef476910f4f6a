"""`current(…)`: which of several names, addresses, telecoms or identifiers counts now.

    name.current()                     whatever its use
    address.current('home')            of use home, else without a use; others do not count
    telecom.where(system='email').current('home', 'work')     home, without a use, work

1. Former ones never count: use `old` or `maiden`, or a `period.end` that is past.
2. One that fills the column goes before one that does not; of a group, its first column decides for all of them.
3. What is meant for now goes before `temp`, `nickname`, `anonymous` and what has not begun.
4. Use, in the order asked for; where none is asked for: usual, official, any other.
5. `rank`, 1 first.  6. The latest `period.start`.  7. The order of the record.

One that says its value is absent keeps its turn before one that fills: of elements that 3 to 5 make equal always (6 and
7 decide), else where it says that there is none (`not-applicable`). A push leaves that statement where a value was
cleared and a sibling would be read for it, so that the next pull finds nothing, too. `unknown` asks the next sibling.

A null date in a period is not a date. A write goes to the element that is read; where there is none, one is made with
the first use asked for. https://hl7.org/fhir/R4/datatypes.html#HumanName
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ecw.mapping.vocabulary import is_null_date

Element = dict[str, Any]
# A text: it says that what the column takes is absent, and why. https://hl7.org/fhir/R4/valueset-data-absent-reason.html
Fills = Callable[[Element], bool | str]
NONE = "not-applicable"
Standing = tuple[bool, bool, int, int]
FORMER = frozenset({"old", "maiden"})
LAST = frozenset({"temp", "nickname", "anonymous"})
_USUAL_ORDER = {"usual": 0, "official": 1}


def current(elements: Any, uses: tuple[str, ...], fills: Fills) -> Element | None:
    """Return the element that counts, or None."""
    if type(elements) is not list:
        elements = [] if elements is None else [elements]
    if len(elements) == 1 and "period" not in elements[0]:
        use = elements[0].get("use")
        if use is None or use in uses:
            return elements[0]  # type: ignore[no-any-return]  # JSON
    left = [element for element in elements if why_not(element, uses) is None]
    return choose(left, uses, fills) if len(left) > 1 else left[0] if left else None


def why_not(element: Element, uses: tuple[str, ...]) -> str | None:
    """Return why an element does not count at all, or None."""
    use = element.get("use")
    if use is not None:
        if use in FORMER:
            return f"its use is {use}"
        if uses and use not in uses and use not in LAST:
            return "its use is not asked for"
    if "period" in element and _ended(element["period"]):
        return "its period has ended"
    return None


def choose(left: Sequence[Element], uses: tuple[str, ...], fills: Fills) -> Element:
    """Return the best of those that count."""
    keys = [standing(element, uses, fills) for element in left]
    best = min(keys)
    equal = [element for element, key in zip(left, keys, strict=True) if key == best]
    if not best[0] and any(key[0] for key in keys):
        # Those that say they are absent stand with those that fill.
        keys = [
            (key[0] and not _keeps_turn(fills(element), key, best), *key[1:])
            for element, key in zip(left, keys, strict=True)
        ]
        best = min(keys)
        equal = [element for element, key in zip(left, keys, strict=True) if key == best]
    return max(equal, key=_start) if len(equal) > 1 else equal[0]  # `max` takes the first of equals


def _keeps_turn(filled: bool | str, key: Standing, best: Standing) -> bool:
    return filled == NONE or (isinstance(filled, str) and key[1:] == best[1:])


def standing(element: Element, uses: tuple[str, ...], fills: Fills) -> Standing:
    """Return where an element stands, best first: does not fill, not for now, use, rank."""
    use, rank = element.get("use"), element.get("rank")
    if uses:
        # Most records have no use where there is one only: it goes after the first that is asked for.
        order = 1 if use is None else 0 if use == uses[0] else uses.index(use) + 1 if use in uses else len(uses) + 1
    else:
        order = _USUAL_ORDER.get(use or "", 2)
    return (
        fills(element) is not True,
        use in LAST or _start(element)[:10] > today(),
        order,
        rank if type(rank) is int else 2**31,
    )


STANDINGS = (
    "it lacks what the column takes",
    "it is temporary, or has not begun",
    "its use comes later in the order",
    "its rank comes later",
)


def why_later(element: Element, taken: Element, uses: tuple[str, ...], fills: Fills) -> str:
    """Return why another element was taken although this one counts, too."""
    mine, best = standing(element, uses, fills), standing(taken, uses, fills)
    if best[0] and not mine[0]:
        return "the other, which goes before it, says that the value is absent"
    for reason, own, other in zip(STANDINGS, mine, best, strict=True):
        if own != other:
            return reason
    return "the other began later" if _start(element) != _start(taken) else "it stands after the other"


def today() -> str:
    """Return the day in UTC; the practice's own can differ for hours, and periods are in days."""
    return datetime.now(UTC).date().isoformat()


def _ended(period: Any) -> bool:
    end = period.get("end")
    # A partial date ends with its year or month.
    return type(end) is str and not is_null_date(end) and end[:10] < today()[: len(end)]


def _start(element: Element) -> str:
    start = element["period"].get("start") if "period" in element else None
    return start if type(start) is str and not is_null_date(start) else ""
