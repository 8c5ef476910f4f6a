"""Details of a written element: they are removed if the new value contradicts them.

    address.district      the county of the former city
    us-core-race          details (European, Chinese) of a category that was removed
    us-core-ethnicity     the same

A detail that the push itself writes stays. https://hl7.org/fhir/us/core/STU3.1.1/
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from ecw.mapping.code_systems import canonical
from ecw.spelling import is_respelled

Json = dict[str, Any]
CDC = canonical("urn:oid:2.16.840.1.113883.6.238")
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
CATEGORIZED = (f"{US_CORE}us-core-race", f"{US_CORE}us-core-ethnicity")
DISTRICT, DETAILED = "district", "detailed"
# CDC numbers its concepts in the order of its tree: (first number, last number, category).
# https://phinvads.cdc.gov/vads/ViewCodeSystem.action?id=2.16.840.1.113883.6.238
_TREE = (
    (1002, 2027, "1002-5"),
    (2028, 2053, "2028-9"),
    (2054, 2075, "2054-5"),
    (2076, 2105, "2076-8"),
    (2106, 2130, "2106-3"),
    (2131, 2131, "2131-1"),
    (2135, 2185, "2135-2"),
    (2186, 2186, "2186-5"),
    (2500, 2500, "2076-8"),
)


def county_agrees(address: Json, before: Json) -> None:
    """Remove the county if the address is in another city, state or country than before."""
    if DISTRICT in address and address[DISTRICT] == before.get(DISTRICT) and _moved(before, address):
        del address[DISTRICT]
        address.pop(f"_{DISTRICT}", None)


def _moved(before: Json, now: Json) -> bool:
    changed = [
        (before[part], now[part])
        for part in ("city", "state", "country")
        if before.get(part) and now.get(part) and before[part] != now[part]
    ]
    if any(not (is_respelled(new, old) or is_respelled(old, new)) for old, new in changed):
        return True
    codes = [str(address.get("postalCode") or "")[:5] for address in (before, now)]
    return bool(changed) and all(codes) and codes[0] != codes[1]


class Categories:
    """The categories of race and ethnicity of a resource before a write."""

    def __init__(self, resource: Json) -> None:
        self.before = {url: set(_codes(part, "ombCategory")) for url, part in _categorized(resource)}

    def agree(self, resource: Json, written: Collection[str]) -> None:
        """Remove the details that belong to none of the new categories, except those of the URLs in `written`."""
        for url, part in _categorized(resource):
            before, now = self.before.get(url, set()), set(_codes(part, "ombCategory"))
            if url in written or not now or now == before:
                continue
            replaced = bool(before) and not before & now
            part["extension"][:] = [each for each in part["extension"] if not _contradicts(each, now, replaced)]


def _contradicts(part: Any, categories: set[str], replaced: bool) -> bool:
    """Return True for a detail of another category; one of unknown category is removed if all categories changed."""
    if not isinstance(part, dict) or part.get("url") != DETAILED:
        return False
    coding = part.get("valueCoding")
    category = _category(coding) if isinstance(coding, dict) else None
    return replaced if category is None else category not in categories


def _category(coding: Json) -> str | None:
    number, dash, _ = str(coding.get("code")).partition("-")
    if not dash or not number.isdecimal() or canonical(str(coding.get("system") or CDC)) != CDC:
        return None
    return next((category for first, last, category in _TREE if first <= int(number) <= last), None)


def _categorized(resource: Json) -> Iterator[tuple[str, Json]]:
    found = resource.get("extension")
    for part in found if isinstance(found, list) else ():
        if isinstance(part, dict) and part.get("url") in CATEGORIZED and isinstance(part.get("extension"), list):
            yield str(part["url"]), part


def _codes(part: Json, url: str) -> Iterator[str]:
    for each in part["extension"]:
        if isinstance(each, dict) and each.get("url") == url and isinstance(each.get("valueCoding"), dict):
            yield str(each["valueCoding"].get("code"))
