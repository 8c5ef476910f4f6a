"""Generated resources of any shape that FHIR's structure allows, more varied than eCW's."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from ecw.mapping.definition.files import all_mappings
from ecw.mapping.validation.structure import Element, elements, used_elements

USED = {name for mapping in all_mappings().values() for column in mapping.columns for name in used_elements(column)}
URLS = sorted(name for name in USED if "://" in name)
NAMES = {part for name in USED if "://" not in name for part in name.split(".")} | {"use", "system", "value", "code"}
POOLS: dict[str, list[Any]] = {
    "use": ["usual", "official", "old", "home", "work", "mobile", "secondary"],
    "system": ["phone", "email", "fax", "http://hl7.org/fhir/sid/us-npi", "urn:oid:1.2.3"],
    "code": ["MB", "MR", "PPRF", "group", "plan", "M", "UNK", "2135-2"],
    "url": [*URLS, "ombCategory", "detailed", "text", "http://example.org/unknown"],
    "active": [True, False],
    "preferred": [True, False],
    "valueBoolean": [True, False],
    "deceasedBoolean": [True, False],
    "order": [1, 2],
    "rank": [1, 2, 3],
    "reference": ["Location/a.b", "Practitioner/1", "https://x.example/fhir/Patient/2", "Organization?identifier=a|b"],
}
DATES = ["1899-12-30", "2001-05-27", "1987", "1987-02", "2024-03-10T02:30:00-05:00", "1899-12-30T00:00:00-05:00"]
TEXTS = ["a", "b", "Mary,Ann", " x ", "active"]
VALUES = ["valueString", "valueCode", "valueCoding", "valueReference", "valueBoolean", "valueCodeableConcept"]
WHY = {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}


def resources(resource: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy that generates resources of a type from seeds, which is quicker than element by element."""
    return st.integers(0, 2**32).map(lambda seed: {**_made(resource, Random(seed), 0), **_head(resource)})


def _head(resource: str) -> dict[str, str]:
    return {"resourceType": resource, "id": "id.1"}


def _made(type_name: str, random: Random, depth: int) -> dict[str, Any]:
    known = elements(type_name)
    made: dict[str, Any] = {}
    if type_name == "Extension":
        made["url"] = random.choice(POOLS["url"])
        names = ["extension"] if depth < 2 and random.random() < 0.5 else [random.choice(VALUES)]
    else:
        names = [name for name in known if name in NAMES and random.random() < 0.6]
    taken: set[str] = set()
    for name in names:
        element = known[name]
        common = element == Element("", False) and f"{name}DateTime" in known
        if common or (element.common and element.common in taken) or (element.type and depth > 3):
            continue
        taken.add(element.common)
        number = random.randint(1, 3) if element.repeats else 1
        values = [
            _made(element.type, random, depth + 1) if element.type else _plain(name, random) for _ in range(number)
        ]
        made[name] = values if element.repeats else values[0]
        if not element.type and not element.repeats and random.random() < 0.1:
            made[f"_{name}"] = WHY
    return made


def _plain(name: str, random: Random) -> Any:
    dates = any(word in name for word in ("Date", "start", "end"))
    return random.choice(POOLS.get(name, DATES if dates else TEXTS))
