"""Convert a CodeableConcept or a Coding to the CRM's value, and back.

Every coding of a concept is looked up, the one with `userSelected` first; then its text and the codings' displays, in
the texts of the crosswalk. https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.paths import Choice, Member, Path
from ecw.mapping.values.convert import Unusable

Json = dict[str, Any]
Unmapped = list[tuple[str, str]]
Read = Callable[[Any, Unmapped], str | None]


def codings_of(concept: Any) -> list[Json]:
    """Return the codings of a concept, the selected one first; of a Coding, itself; without codings, an empty list."""
    if "coding" in concept:
        found: list[Json] = concept["coding"]
        if len(found) > 1:
            return sorted(found, key=lambda coding: coding.get("userSelected") is not True)
        return found
    return [concept] if "code" in concept or "system" in concept or "display" in concept else []


def words_of(concept: Any) -> Iterator[str]:
    """Yield the texts of a concept: its text, then its codings' displays."""
    if text := concept.get("text"):
        yield text
    for coding in codings_of(concept):
        if display := coding.get("display"):
            yield display


def meaning(crosswalk: Crosswalk, concept: Any) -> str | None:
    """Return the CRM's value for one concept, or None."""
    for coding in codings_of(concept):
        value = crosswalk.value_of(coding)
        if value is not None:
            return value
    for word in words_of(concept):
        value = crosswalk.value_of_word(word)
        if value is not None:
            return value
    return None


def reading(crosswalk: Crosswalk) -> Read:
    """Return the function that converts found concepts to the value of the first one that the crosswalk has."""
    exact = crosswalk.exact

    def read(found: Any, unmapped: Unmapped) -> str | None:
        if type(found) is dict:
            # Nearly all concepts have one coding, spelled as in the table.
            codings = found.get("coding")
            coding = codings[0] if codings and len(codings) == 1 else found
            value = exact.get((coding.get("system"), coding.get("code")))
            if value is not None:
                return value
            found = (found,)
        elif type(found) is str:
            found = ({"code": found},)
        for concept in found:
            value = meaning(crosswalk, concept)
            if value is not None:
                return value
        return next((code for concept in found if (code := unknown(crosswalk, concept, unmapped)) is not None), None)

    return read


def reading_all(crosswalk: Crosswalk, separator: str) -> Read:
    """Return the function that joins the values of all found concepts, each once, in the order of the record."""

    exact = crosswalk.exact

    def read(found: Any, unmapped: Unmapped) -> str | None:
        if type(found) is not dict and len(found) == 1:
            found = found[0]
        if type(found) is dict:
            value = exact.get((found.get("system"), found.get("code")))
            if value is not None:
                return value
        values: dict[str, None] = {}
        for concept in (found,) if type(found) is dict else found:
            value = meaning(crosswalk, concept) or unknown(crosswalk, concept, unmapped)
            if value is not None:
                values[value] = None
        return separator.join(values) or None

    return read


def reading_words(nothing: Iterable[str], separator: str = "") -> Read:
    """Return the function that returns the text of the first concept that has one, or joins the texts of all."""
    empty = frozenset(nothing)

    def read(found: Any, unmapped: Unmapped) -> str | None:
        values: dict[str, None] = {}
        for concept in (found,) if type(found) is dict else found:
            for word in words_of(concept):
                if word.strip() and word not in empty:
                    values[word] = None
                    break
            if values and not separator:
                break
        return separator.join(values) or None

    return read


def unknown(crosswalk: Crosswalk, concept: Any, unmapped: Unmapped) -> str | None:
    """Return the value for a concept that the crosswalk does not have, by the crosswalk's policy.

    With `keep` a code is loaded as it is, but not a text: it could be mistaken for a value of the CRM.

    Raises Unusable if the policy is `reject`.
    """
    code = next((coding["code"] for coding in codings_of(concept) if coding.get("code")), None)
    if code is None and not any(words_of(concept)):
        return None
    if code is not None:
        unmapped.append((crosswalk.name, code))
    if crosswalk.unmapped == "reject":
        raise Unusable("unmapped code", f"the crosswalk {crosswalk.name} does not have the code")
    return crosswalk.default if crosswalk.unmapped == "default" else code


def is_coding(path: Path) -> bool:
    """Return True if a path ends in Codings, False if in CodeableConcepts; the element's name decides."""
    for step in reversed(path):
        if isinstance(step, Choice):
            return step.type == "Coding"
        if isinstance(step, Member):
            return step.name in ("coding", "class")
    return False


def kept(crosswalk: Crosswalk, concept: Any) -> str | None:
    """Return the value that a pull loads for one concept: the CRM's, else by the policy; None if it is rejected."""
    value = meaning(crosswalk, concept)
    if value is not None or crosswalk.unmapped == "reject":
        return value
    return unknown(crosswalk, concept, [])


def written(crosswalk: Crosswalk, value: str) -> Json:
    """Return the coding that a push writes for a CRM value; raise KeyError if the crosswalk has none."""
    code, system = crosswalk.codes[value]
    return {"system": system, "code": code, "display": value} if system else {"code": code, "display": value}


def with_value(present: Any, crosswalk: Crosswalk, value: str, *, coding: bool) -> Json:
    """Return a concept (or a Coding) for a CRM value, with the other elements of the present one.

    Codings with the same value stay; the others are removed, because they could contradict it.
    """
    old: Json = dict(present) if isinstance(present, dict) else {}
    if "extension" in old:  # the value is no longer absent
        old["extension"] = [each for each in old["extension"] if each.get("url") != ABSENT]
        if not old["extension"]:
            del old["extension"]
    if coding:
        return {**{key: old[key] for key in ("id", "extension") if key in old}, **written(crosswalk, value)}
    same = [each for each in old.get("coding") or () if crosswalk.value_of(each) == value]
    text = old.get("text")
    return {
        **old,
        "coding": same or [written(crosswalk, value)],
        "text": text if crosswalk.value_of_word(text) == value else value,
    }
