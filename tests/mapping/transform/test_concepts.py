"""Concepts are translated by a crosswalk, whole concepts, single codings and plain codes alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.parse import parse
from ecw.mapping.transform.concepts import Unmapped, is_coding, kept, reading, reading_all
from ecw.mapping.values.convert import Unusable

COLUMN = "      - {name: race, label: Race, path: maritalStatus, type: concept, crosswalk: race}\n"
ONE, TWO, NEW = ({"system": "urn:s", "code": code} for code in "129")
CrosswalkOf = Callable[[str], Crosswalk]


@pytest.fixture
def crosswalk_of(mapping_of: Callable[..., Mapping]) -> CrosswalkOf:
    """Return the crosswalk race with a policy: code 1 is One, code 2 is Two."""

    def make(policy: str) -> Crosswalk:
        lines = "1,One,urn:s,\n2,Two,urn:s,\n"
        return mapping_of(COLUMN, policies=f"race: {{{policy}}}\n", race=lines).crosswalks["race"]

    return make


@pytest.mark.parametrize(
    ("found", "value", "unmapped"),
    [
        ({"coding": [ONE]}, "One", []),
        (ONE, "One", []),
        ({"coding": [NEW, TWO]}, "Two", []),
        ([{"coding": [NEW]}, {"coding": [TWO]}], "Two", []),
        ({"text": "two"}, "Two", []),
        ({"coding": [NEW]}, "9", ["9"]),
        ([{"text": "many"}, {"coding": [NEW]}], "9", ["9"]),
        ({"text": "many"}, None, []),
        ({}, None, []),
        ([], None, []),
    ],
)
def test_the_first_concept_that_the_crosswalk_has_gives_the_value(
    crosswalk_of: CrosswalkOf, found: Any, value: str | None, unmapped: list[str]
) -> None:
    seen: Unmapped = []
    assert reading(crosswalk_of("unmapped: keep"))(found, seen) == value
    assert seen == [("race", code) for code in unmapped]


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (ONE, "One"),
        ([ONE], "One"),
        ([ONE, NEW, TWO, ONE], "One, 9, Two"),
        ({"coding": [TWO]}, "Two"),
        ([{"text": "many"}], None),
        ([], None),
    ],
)
def test_all_concepts_are_joined_each_once(crosswalk_of: CrosswalkOf, found: Any, value: str | None) -> None:
    assert reading_all(crosswalk_of("unmapped: keep"), ", ")(found, []) == value


@pytest.mark.parametrize(
    ("policy", "value"),
    [("unmapped: keep", "9"), ("unmapped: default, default: Other", "Other"), ("unmapped: reject", None)],
)
def test_a_code_that_the_crosswalk_lacks_follows_the_policy(
    crosswalk_of: CrosswalkOf, policy: str, value: str | None
) -> None:
    crosswalk = crosswalk_of(policy)
    assert kept(crosswalk, {"coding": [ONE]}) == "One"
    assert kept(crosswalk, {"coding": [NEW]}) == value
    if value is None:
        with pytest.raises(Unusable, match="the crosswalk race does not have the code"):
            reading(crosswalk)({"coding": [NEW]}, [])


@pytest.mark.parametrize(
    ("path", "coding"),
    [
        ("maritalStatus", False),
        ("maritalStatus.coding.first()", True),
        ("extension('u').value.ofType(Coding)", True),
        ("extension('u').value.ofType(CodeableConcept)", False),
        ("extension('u')", False),
    ],
)
def test_the_elements_name_decides_if_a_path_ends_in_codings(path: str, coding: bool) -> None:
    assert is_coding(parse(path, {})) is coding
