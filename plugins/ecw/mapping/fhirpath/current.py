"""`current(…)`: select, of several names, addresses, telecoms or identifiers, the one that is valid now.

    name.current()                     of any use
    address.current('home')            of use home, else without a use; others are never selected
    telecom.where(system='email').current('home', 'work')     home, without a use, work

1. Former elements are never selected: use `old` or `maiden`, or a past `period.end`.
2. An element that fills the column comes before one that does not; in a group, the first column decides for all.
3. `temp`, `nickname`, `anonymous` and elements whose period has not begun come after the others.
4. Use, in the requested order; without a request: usual, official, any other.
5. `rank`, 1 first.  6. The latest `period.start`.  7. The order of the record.

An element whose value is marked absent can keep its place before one that fills the column: always among elements that
are equal by 3 to 5 (then 6 and 7 decide); otherwise only if it is marked `not-applicable`. A push leaves this mark when
it clears a value and a sibling would be read instead, so that the next pull reads nothing, too. With the mark `unknown`
the next sibling is read.

A null date in a period is ignored. A write goes to the element that is read; if there is none, it creates one with the
first requested use. https://hl7.org/fhir/R4/datatypes.html#HumanName
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ecw.mapping.vocabulary import is_null_date

Element = dict[str, Any]
# True if an element fills the column; a text is its data-absent-reason.
# https://hl7.org/fhir/R4/valueset-data-absent-reason.html
Fills = Callable[[Element], bool | str]
NONE = "not-applicable"
Standing = tuple[bool, bool, int, int]
FORMER = frozenset({"old", "maiden"})
LAST = frozenset({"temp", "nickname", "anonymous"})
_USUAL_ORDER = {"usual": 0, "official": 1}


def current(elements: Any, uses: tuple[str, ...], fills: Fills) -> Element | None:
    """Return the selected element, or None."""
    if type(elements) is not list:
        elements = [] if elements is None else [elements]
    if len(elements) == 1 and "period" not in elements[0]:
        use = elements[0].get("use")
        if use is None or use in uses:
            return elements[0]  # type: ignore[no-any-return]  # JSON
    left = [element for element in elements if why_not(element, uses) is None]
    return choose(left, uses, fills) if len(left) > 1 else left[0] if left else None


def why_not(element: Element, uses: tuple[str, ...]) -> str | None:
    """Return the reason why an element can never be selected, or None."""
    use = element.get("use")
    if use is not None:
        if use in FORMER:
            return f"its use is {use}"
        if uses and use not in uses and use not in LAST:
            return "its use is not requested"
    if "period" in element and _ended(element["period"]):
        return "its period has ended"
    return None


def choose(left: Sequence[Element], uses: tuple[str, ...], fills: Fills) -> Element:
    """Return the first, by rules 2 to 7, of elements that can be selected."""
    keys = [standing(element, uses, fills) for element in left]
    best = min(keys)
    equal = [element for element, key in zip(left, keys, strict=True) if key == best]
    if not best[0] and any(key[0] for key in keys):
        # Elements marked absent that keep their place count as filling the column.
        keys = [
            (key[0] and not _keeps_place(fills(element), key, best), *key[1:])
            for element, key in zip(left, keys, strict=True)
        ]
        best = min(keys)
        equal = [element for element, key in zip(left, keys, strict=True) if key == best]
    return max(equal, key=_start) if len(equal) > 1 else equal[0]  # `max` takes the first of equals


def _keeps_place(filled: bool | str, key: Standing, best: Standing) -> bool:
    return filled == NONE or (isinstance(filled, str) and key[1:] == best[1:])


def standing(element: Element, uses: tuple[str, ...], fills: Fills) -> Standing:
    """Return the sort key of an element: does not fill, temporary or not begun, use, rank."""
    use, rank = element.get("use"), element.get("rank")
    if uses:
        # A single element often has no use: it comes after the first requested use.
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
    "it has no value for the column",
    "it is temporary, or has not begun",
    "its use comes later in the order",
    "its rank comes later",
)


def why_later(element: Element, taken: Element, uses: tuple[str, ...], fills: Fills) -> str:
    """Return the reason why another element was selected although this one is valid, too."""
    own_key, best = standing(element, uses, fills), standing(taken, uses, fills)
    if best[0] and not own_key[0]:
        return "the selected one, which comes before it, is marked absent"
    for reason, own, other in zip(STANDINGS, own_key, best, strict=True):
        if own != other:
            return reason
    return "the selected one began later" if _start(element) != _start(taken) else "it comes after the selected one"


def today() -> str:
    """Return the day in UTC; the practice's day can differ for some hours, but periods are in days."""
    return datetime.now(UTC).date().isoformat()


def _ended(period: Any) -> bool:
    end = period.get("end")
    # A partial date lasts until the end of its year or month.
    return type(end) is str and not is_null_date(end) and end[:10] < today()[: len(end)]


def _start(element: Element) -> str:
    start = element["period"].get("start") if "period" in element else None
    return start if type(start) is str and not is_null_date(start) else ""
