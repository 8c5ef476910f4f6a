"""The companions of a value repeat it in another form: after a write they are updated or removed.

    _birthDate, _given[0]     extensions about the value: why it is absent, the time of birth, parts of a family name
    name.text, address.text   written again from the parts, in its former order; R4: "the text should not hold anything
                              that is not in a part"
    telecom, address          extensions with the parts of a number, or with the geolocation
    address.district, details the county of the former city, the details of a former race: see details.py
    coding, reference         the other codings and the text of a concept, the display of a reference

Everything else in an element stays, unknown extensions included. https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ecw.mapping.fhirpath.details import DETAILED, DISTRICT, Categories, county_agrees
from ecw.mapping.fhirpath.paths import Extension, Member, Path, Step

if TYPE_CHECKING:
    from ecw.mapping.fhirpath.find import Slot

Json = dict[str, Any]
STANDARD = "http://hl7.org/fhir/StructureDefinition/"
ABSENT = f"{STANDARD}data-absent-reason"
BIRTH_TIME = f"{STANDARD}patient-birthTime"
# Extensions of a primitive that repeat its value, or a part of it.
SAY_THE_VALUE = (
    *("data-absent-reason", "rendered-value", "originalText", "translation", "humanname-"),
    *("iso21090-ADXP-", "iso21090-EN-", "iso21090-nullFlavor", "iso21090-SC-coding"),
)
# Elements that are written part by part, with the extensions that repeat a part or depend on it.
PARTS = {
    "name": (("prefix", "given", "family", "suffix"), ("humanname-", "iso21090-EN-")),
    "address": (
        ("line", "city", "district", "state", "postalCode", "country"),
        ("geolocation", "iso21090-ADXP-"),
    ),
    "telecom": (
        ("value",),
        ("contactpoint-area", "contactpoint-country", "contactpoint-extension", "contactpoint-local"),
    ),
}


def agree(holder: Any, key: Any, value: Any, above: Slot | None) -> None:
    """Remove what contradicts a written primitive from its companion (`_birthDate`, an item of `_given`)."""
    if isinstance(holder, dict):
        companion = _agreeing(holder.get(f"_{key}"), value)
        if companion is None:
            holder.pop(f"_{key}", None)
        return
    if above is None or not isinstance(above.holder, dict):
        return
    companions = above.holder.get(f"_{above.key}")
    if isinstance(companions, list) and key < len(companions):
        companions[key] = _agreeing(companions[key], value)
        if not any(companions):
            del above.holder[f"_{above.key}"]


def _agreeing(companion: Any, value: Any) -> Any:
    """Return the companion without the extensions that contradict the value; None if it is then empty."""
    if isinstance(companion, dict) and isinstance(companion.get("extension"), list):
        left = [each for each in companion["extension"] if not _contradicts(each, value)]
        if left:
            companion["extension"] = left
        else:
            del companion["extension"]
    return companion or None


def _contradicts(extension: Any, value: Any) -> bool:
    url = extension.get("url") if isinstance(extension, dict) else None
    if url == BIRTH_TIME:
        return bool(str(extension.get("valueDateTime"))[:10] != value)
    return isinstance(url, str) and url.startswith(tuple(f"{STANDARD}{name}" for name in SAY_THE_VALUE))


class Before:
    """The names, addresses and telecoms of a resource before a write, and its categories."""

    def __init__(self, resource: Json) -> None:
        self.resource, self.categories = resource, Categories(resource)
        self.elements = [(kind, element, deepcopy(element)) for kind, element in _elements(resource)]

    def agree(self, filled: Iterable[Path], pushed: Iterable[Path]) -> None:
        """Update or remove the companions of the parts that were written.

        `pushed` are the paths of all pushed columns, `filled` those for which the CRM has a value now.
        """
        names = [{_name(step) for step in path} for path in filled]
        self.categories.agree(self.resource, {name for path in names if DETAILED in path for name in path})
        has_county = any(_name(path[-1]) == DISTRICT for path in pushed)  # the CRM has its own column for it
        for kind, element, before in self.elements:
            parts, extensions = PARTS[kind]
            if all(element.get(part) == before.get(part) for part in parts):
                continue
            if kind == "address" and not has_county:
                county_agrees(element, before)
            if kind != "telecom":
                _rewrite_text(kind, element, before)
            _drop_extensions(element, extensions)


def _name(step: Step) -> str:
    return step.url if isinstance(step, Extension) else step.name if isinstance(step, Member) else ""


def _elements(resource: Json) -> Iterator[tuple[str, Json]]:
    for kind in PARTS:
        found = resource.get(kind)
        yield from ((kind, each) for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict))


def _rewrite_text(kind: str, element: Json, before: Json) -> None:
    """Write the text again from the parts, if there was one; do not add one."""
    if "text" not in before:
        element.pop("text", None)
        return
    element.pop("_text", None)
    styles = STYLES[kind]
    letters = _letters(before["text"])
    style = next((style for style in styles if _letters(style(before)) == letters), styles[0])
    if text := style(element):
        element["text"] = text
    else:
        element.pop("text", None)


def _letters(text: Any) -> str:
    return " ".join(str(text).casefold().split())


def _part(element: Json, *names: str) -> list[str]:
    found: list[str] = []
    for name in names:
        value = element.get(name)
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
    return found


def _given_first(name: Json) -> str:
    return " ".join(_part(name, "prefix", "given", "family", "suffix"))


def _family_first(name: Json) -> str:
    return " ".join(_part(name, "family", "given", "suffix"))


def _family_comma(name: Json) -> str:
    return ", ".join(filter(None, (" ".join(_part(name, each) if each != "given" else _part(name, "given", "suffix"))
                                   for each in ("family", "given"))))  # fmt: skip


def _with_commas(address: Json) -> str:
    place = " ".join(_part(address, "state", "postalCode"))
    return ", ".join(filter(None, (*_part(address, "line", "city"), place, *_part(address, "country"))))


def _city_and_state(address: Json) -> str:
    place = " ".join(_part(address, "city", "state", "postalCode"))
    return ", ".join(filter(None, (*_part(address, "line"), place, *_part(address, "country"))))


STYLES: dict[str, tuple[Callable[[Json], str], ...]] = {
    "name": (_given_first, _family_first, _family_comma),
    "address": (_with_commas, _city_and_state),
}


def _drop_extensions(element: Json, names: tuple[str, ...]) -> None:
    extensions = element.get("extension")
    if not isinstance(extensions, list):
        return
    starts = tuple(f"{STANDARD}{name}" for name in names)
    left = [each for each in extensions if not str(each.get("url")).startswith(starts)]
    if len(left) < len(extensions):
        element.pop("extension") if not left else element.update(extension=left)


def same_record(reference: Json, record: str) -> None:
    """Remove the elements of a written Reference that describe the record that it named before."""
    for name in ("display", "identifier", "_display"):
        reference.pop(name, None)
    if "type" in reference:
        reference["type"] = record.partition("/")[0]


def one_coding(slot: Slot) -> None:
    """Keep only the written coding in its list, without the texts of the old code."""
    coding, above = slot.holder, slot.above
    for name in ("display", "version", "userSelected", "_display"):
        coding.pop(name, None)
    if above is None or not isinstance(above.holder, list):
        return
    above.holder[:] = [coding]
    concept = above.above.holder if above.above else None
    if isinstance(concept, dict):
        concept.pop("text", None)
