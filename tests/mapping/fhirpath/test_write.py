"""Two laws of writing, for every pushed column and any FHIR resource: writing the read value changes nothing, and
reading returns the written value; nothing else changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.fhirpath.clear import clear
from ecw.mapping.fhirpath.companions import ABSENT
from ecw.mapping.fhirpath.parse import parse
from ecw.mapping.fhirpath.paths import Index
from ecw.mapping.fhirpath.read import reader
from ecw.mapping.fhirpath.write import put, writable
from ecw.mapping.values.convert import Unusable
from tests.fixtures.examples import examples
from tests.mapping.generated import resources

PUSHED = load_mapping("patient").pushed
# Concepts are written as a whole: their laws are in tests/mapping/test_laws.py.
PATHS = [
    path
    for column in PUSHED
    for path in (*(() if column.concept else [column.writes]), *(path for path, _ in column.set_with))
]
VALUES = st.sampled_from(["x", "y z", "2001-05-27", True, False])


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{at}[{number}]")
    else:
        yield at, value


@given(resource=resources("Patient"))
@settings(max_examples=examples(100), derandomize=True)
def test_writing_the_value_that_was_read_changes_nothing(resource: dict[str, Any]) -> None:
    before = deepcopy(resource)
    for path in PATHS:
        value = reader(path)(resource)
        if value is not None:
            put(resource, path, value)
    assert resource == before


@given(resource=resources("Patient"), path=st.sampled_from(PATHS), value=VALUES)
@settings(max_examples=examples(400), derandomize=True)
def test_the_written_value_is_read_and_nothing_else_changes(resource: dict[str, Any], path: Any, value: Any) -> None:
    before = dict(leaves(resource))
    reads = reader(path)
    if isinstance(path[-1], Index) and not reader((*path[:-1], Index(path[-1].at - 1)))(resource) and path[-1].at:
        with pytest.raises(Unusable, match="the one before it is empty"):
            put(resource, path, value)
        return
    put(resource, path, value)
    assert reads(resource) == value
    after = dict(leaves(resource))
    changed = {at for at in before if at not in after or after[at] != before[at]}
    assert len({at for at in changed if not was_replaced(at, after)}) <= 1


def was_replaced(at: str, after: Iterable[str]) -> bool:
    """Return True if a leaf lay in a value[x] or deceased[x] that another type of the same choice has replaced."""
    # FHIR's JSON keeps the id and extensions of a primitive under `_name`: they are removed with the value.
    at, *others = (each.replace("._", ".") for each in (at, *after))
    if not (found := re.fullmatch(r"(.*?\.(?:value|deceased))([A-Z]\w*).*", at)):
        return False
    types = {now[len(found[1]) :] for now in others if now.startswith(found[1])}
    return bool(types) and not any(rest.startswith(found[2]) for rest in types)


def test_every_pushed_path_is_among_the_tested_paths() -> None:
    assert len(PATHS) > 22


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("gender", "male", {}, {"gender": "male"}),
        ("active", False, {"active": True}, {"active": False}),
        (
            "telecom.where(system='phone' and use='home').value",
            "1",
            {},
            {"telecom": [{"system": "phone", "use": "home", "value": "1"}]},
        ),
        (
            "telecom.where(system='phone').value",
            "2",
            {"telecom": [{"system": "fax", "value": "0"}, {"system": "phone", "value": "1", "rank": 1}]},
            {"telecom": [{"system": "fax", "value": "0"}, {"system": "phone", "value": "2", "rank": 1}]},
        ),
        # The second branch has the value: it is replaced there.
        (
            "telecom.where(use='home').value | telecom.where(use='work').value",
            "2",
            {"telecom": [{"use": "work", "value": "1"}]},
            {"telecom": [{"use": "work", "value": "2"}]},
        ),
        # The first branch finds no name: the missing part is written into the name of the second branch.
        (
            "(name.where(use.empty()) | name.where(use='usual')).first().family",
            "F",
            {"name": [{"use": "old", "family": "O"}, {"use": "usual", "text": "t"}]},
            {"name": [{"use": "old", "family": "O"}, {"use": "usual", "text": "t", "family": "F"}]},
        ),
        ("name.first().given[1]", "B", {"name": [{"given": ["A"]}]}, {"name": [{"given": ["A", "B"]}]}),
        (
            "extension('r').extension('o').first().value.ofType(Coding).code",
            "c",
            {"extension": [{"url": "other", "valueString": "kept"}]},
            {
                "extension": [
                    {"url": "other", "valueString": "kept"},
                    {"url": "r", "extension": [{"url": "o", "valueCoding": {"code": "c"}}]},
                ]
            },
        ),
        (
            "deceased.ofType(boolean)",
            False,
            {"deceasedDateTime": "1899-12-30T00:00:00-05:00", "_deceasedDateTime": {"id": "a"}},
            {"deceasedBoolean": False},
        ),
        # The extension for an absent value is removed; the rest of the companion stays.
        (
            "birthDate",
            "2001-05-27",
            {"_birthDate": {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}},
            {"birthDate": "2001-05-27"},
        ),
        (
            "birthDate",
            "2001-05-27",
            {"_birthDate": {"id": "i", "extension": [{"url": ABSENT}, {"url": "birthTime"}]}},
            {"birthDate": "2001-05-27", "_birthDate": {"id": "i", "extension": [{"url": "birthTime"}]}},
        ),
        (
            "name.first().given[0]",
            "A",
            {"name": [{"given": [None, "B"], "_given": [{"id": "i"}, None]}]},
            {"name": [{"given": ["A", "B"], "_given": [{"id": "i"}, None]}]},
        ),
        (
            "name.first().given[0]",
            "A",
            {"name": [{"given": [None], "_given": [{"extension": [{"url": ABSENT}]}]}]},
            {"name": [{"given": ["A"]}]},
        ),
        # The elements around the value are no longer absent, either.
        ("name.first().family", "A", {"name": [{"extension": [{"url": ABSENT}]}]}, {"name": [{"family": "A"}]}),
        (
            "name.first().family",
            "A",
            {"name": [{"extension": [{"url": ABSENT}, {"url": "x"}]}]},
            {"name": [{"family": "A", "extension": [{"url": "x"}]}]},
        ),
        (
            "maritalStatus.text",
            "A",
            {"maritalStatus": {"extension": [{"url": ABSENT}]}},
            {"maritalStatus": {"text": "A"}},
        ),
        ("(gender | birthDate)", "A", {}, {"gender": "A"}),
    ],
)
def test_put_writes_the_value_to_its_place(
    path: str, value: Any, before: dict[str, Any], after: dict[str, Any]
) -> None:
    put(before, parse(path), value)
    assert before == after


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("gender", {"gender": "male", "id": "1"}, {"id": "1"}),
        ("gender", {"id": "1"}, {"id": "1"}),
        (
            "telecom.where(use='home').value",
            {"id": "1", "telecom": [{"use": "home", "value": "1"}]},
            {"id": "1"},
        ),
        (
            "telecom.where(use='home').value",
            {"telecom": [{"use": "home", "value": "1", "rank": 1}, {"use": "work", "value": "2"}]},
            {"telecom": [{"use": "work", "value": "2"}]},  # the profile demands a value of each
        ),
        (
            "name.first().given[1]",
            {"name": [{"given": ["A", "B"], "_given": [{"id": "a"}, {"id": "b"}]}]},
            {"name": [{"given": ["A"], "_given": [{"id": "a"}]}]},
        ),
        (
            "extension('r').extension('o').first().value.ofType(string)",
            {"id": "1", "extension": [{"url": "r", "extension": [{"url": "o", "valueString": "v"}]}]},
            {"id": "1"},
        ),
    ],
)
def test_clear_removes_the_value_and_the_elements_that_would_be_empty(
    path: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    clear(before, parse(path))
    assert before == after


@pytest.mark.parametrize(
    ("path", "before", "rule"),
    [
        ("name.first().given[1]", {}, "position"),
        ("maritalStatus.text", {"maritalStatus": "M"}, "shape"),
        ("telecom.where(value='1').value", {}, "path"),
    ],
)
def test_a_value_that_cannot_be_written_is_refused_with_its_rule(path: str, before: dict[str, Any], rule: str) -> None:
    with pytest.raises(Unusable) as error:
        put(before, parse(path), "2")
    assert error.value.rule == rule


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("extension('u').value", "value has several types: write value.ofType(…)"),
        ("a.where(b.exists()).c", "an element that satisfies `b.exists()` cannot be made"),
        ("a.where(b.c='d').e", "an element that satisfies `b.c = 'd'` cannot be made: compare a member"),
        ("a.where(b='c' and d.empty()).e | f.where(g.exists()).h", None),
    ],
)
def test_a_path_that_cannot_be_written_is_reported_with_the_reason(path: str, reason: str | None) -> None:
    assert writable(parse(path)) == reason
