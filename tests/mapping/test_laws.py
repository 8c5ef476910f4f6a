"""Laws of a push, for any resource that FHIR allows.

After a push of changed columns a pull reads the written values, nothing contradicts them, and the rest of the
resource is unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.fhirpath.companions import BIRTH_TIME, STANDARD
from ecw.mapping.transform.to_resource import Composer
from ecw.mapping.transform.to_row import Mapper
from tests.fixtures.examples import examples
from tests.mapping.generated import resources

PATIENT = load_mapping("patient")
MAPPER, COMPOSER = Mapper(PATIENT), Composer(PATIENT)
CHANGES: dict[str, Any] = {
    "active": False,
    "last_name": "Doe",
    "first_name": "Jo",
    "suffix": "III",
    "birth_date": "1971-03-04",
    "gender": "Unknown",
    "deceased": False,
    "marital_status": "Widowed",
    "phone": "9135550111",
    "mobile_phone": "9135550112",
    "work_phone": "9135550113",
    "email": "jo@example.com",
    "address_line1": "9 Next Rd",
    "city": "Salem",
    "state": "OR",
    "postal_code": "97301",
    "country": "US",
    "language": "Spanish",
    "ethnicity": "Hispanic or Latino",
    "ethnicity_detail": "Cuban; Dominican",
    "race": "White; Asian",
    "birth_sex": "Female",
    "default_location": "Location/z",
}
# The element that each column belongs to: elements of columns that were not pushed must not change.
ELEMENTS = {
    "active": "active",
    "last_name": "name",
    "first_name": "name",
    "suffix": "name",
    "birth_date": "birthDate",
    "gender": "gender",
    "deceased": "deceased",
    "marital_status": "maritalStatus",
    "phone": "telecom",
    "mobile_phone": "telecom",
    "work_phone": "telecom",
    "email": "telecom",
    "language": "communication",
}
PUSHES = st.sets(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4)


def with_companions(resource: dict[str, Any], seed: int) -> dict[str, Any]:
    """Add texts, extensions and a time of birth that repeat or qualify the values."""
    extensions = [{"url": f"{STANDARD}data-absent-reason", "valueCode": "unknown"}, {"url": "http://example.org/kept"}]
    if seed % 2 and "birthDate" in resource:
        resource["_birthDate"] = {
            "extension": [{"url": BIRTH_TIME, "valueDateTime": f"{resource['birthDate']}T01:00:00Z"}]
        }
    for name in resource.get("name", ()):
        if seed % 3:
            name["text"] = (
                f"{name.get('family', '')} {' '.join(each for each in name.get('given', ()) if each)}".strip()
            )
        if seed % 5 == 0 and "given" in name:
            name["_given"] = [{"extension": deepcopy(extensions)} for _ in name["given"]]
    for address in resource.get("address", ()):
        if seed % 3:
            address["text"] = ", ".join([*address.get("line", ()), address.get("city", "")])
    return resource


PATIENTS = st.builds(with_companions, resources("Patient"), st.integers(0, 29))


@given(resource=PATIENTS, names=PUSHES)
@settings(max_examples=examples(300), derandomize=True)
def test_pushed_values_are_read_back_and_the_rest_is_unchanged(resource: dict[str, Any], names: set[str]) -> None:
    before = deepcopy(resource)
    row = {name: CHANGES[name] for name in names}
    composed = COMPOSER.resource(row, into=resource)
    failed = {problem.column for problem in composed.problems}
    after = composed.resource
    assert resource == before  # the argument itself is not changed
    for name in names - failed:
        assert read_column(name, after) == CHANGES[name], name
    # Elements of columns that were not pushed are unchanged, with their companions.
    pushed_elements = {ELEMENTS.get(name, "address" if name in ADDRESS else "extension") for name in names}
    for key in before.keys() | after.keys():
        if not any(key.lstrip("_").startswith(element) for element in pushed_elements):
            assert after.get(key) == before.get(key), key
    for kind in pushed_elements & {"name", "telecom", "address", "communication"}:
        assert_other_elements_are_unchanged(before.get(kind, []), after.get(kind, []), names, kind)
    assert_no_contradiction(before, after, names - failed)


ADDRESS = {"address_line1", "city", "state", "postal_code", "country"}
# The number of elements of a list that may change.
AT_MOST = {"name": 1, "address": 1, "communication": 1}


def assert_other_elements_are_unchanged(before: list[Any], after: list[Any], names: set[str], kind: str) -> None:
    changed = sum(1 for old, new in zip(before, after, strict=False) if old != new) + abs(len(after) - len(before))
    assert len(after) >= len(before)
    assert changed <= AT_MOST.get(kind, len(names))


def assert_no_contradiction(before: dict[str, Any], after: dict[str, Any], names: set[str]) -> None:
    if "birth_date" in names:
        birth_times = [
            each.get("valueDateTime", "") for each in companion(after, "_birthDate") if each.get("url") == BIRTH_TIME
        ]
        assert all(time.startswith(CHANGES["birth_date"]) for time in birth_times)
    if names & {"last_name", "first_name", "suffix"}:
        for old, name in zip(before.get("name", ()), after["name"], strict=False):
            if old != name and "text" in name:
                assert words(name["text"]) <= words(
                    [name.get(part) for part in ("prefix", "given", "family", "suffix")]
                )
    if names & ADDRESS:
        for old, address in zip(before.get("address", ()), after["address"], strict=False):
            if old != address and "text" in address:
                parts = ("line", "city", "state", "postalCode", "country", "district")
                assert words(address["text"]) <= words([address.get(part) for part in parts])
    if "marital_status" in names:
        meanings = [PATIENT.crosswalks["marital_status"].value_of(each) for each in after["maritalStatus"]["coding"]]
        assert set(meanings) == {CHANGES["marital_status"]}
        assert after["maritalStatus"]["text"] == CHANGES["marital_status"]
    if "deceased" in names:
        assert [key for key in after if key.startswith("deceased")] == ["deceasedBoolean"]


def companion(element: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = element.get(key)
    return list(found.get("extension", ())) if isinstance(found, dict) else []


def words(value: Any) -> set[str]:
    return set(re.findall(r"\w+", " ".join(texts(value))))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif value is not None:
        yield str(value)


def read_column(name: str, resource: dict[str, Any]) -> Any:
    return COMPOSER.present(PATIENT.column(name), resource)


@given(resource=PATIENTS)
@settings(max_examples=examples(100), derandomize=True)
def test_all_columns_pushed_together_are_read_back(resource: dict[str, Any]) -> None:
    composed = COMPOSER.resource(CHANGES, into=resource)
    failed = {problem.column for problem in composed.problems}
    assert {name: read_column(name, composed.resource) for name in CHANGES.keys() - failed} == {
        name: value for name, value in CHANGES.items() if name not in failed
    }


@given(resource=PATIENTS, names=PUSHES)
@settings(max_examples=examples(100), derandomize=True)
def test_a_second_push_of_the_same_row_changes_nothing(resource: dict[str, Any], names: set[str]) -> None:
    row = {name: CHANGES[name] for name in names}
    once = COMPOSER.resource(row, into=resource)
    if not once.problems:
        again = COMPOSER.resource(row, into=once.resource)
        assert (again.resource, again.written) == (once.resource, [])


@given(resource=PATIENTS, names=PUSHES)
@settings(max_examples=examples(100), derandomize=True)
def test_a_cleared_resource_keeps_no_element_without_the_members_that_the_profile_requires(
    resource: dict[str, Any], names: set[str]
) -> None:
    filled = COMPOSER.resource(CHANGES).resource
    cleared = COMPOSER.resource({}, into=filled, clear=names).resource
    assert all(each.get("system") and each.get("value") for each in cleared.get("telecom", ()))
    assert all(each.get("language") for each in cleared.get("communication", ()))
    for extension in cleared.get("extension", ()):
        if "us-core-race" in extension["url"] or "us-core-ethnicity" in extension["url"]:
            assert "text" in [each["url"] for each in extension["extension"]]
    assert MAPPER.row({**cleared, "id": "p"}).problems == []


def with_siblings(resource: dict[str, Any], seed: int) -> dict[str, Any]:
    """Add another address, phone, e-mail and language of lower precedence, before or after the existing ones."""
    others: dict[str, list[dict[str, Any]]] = {
        "address": [{"line": ["7 Other St"], "city": "Auburn"}, {"use": "temp", "line": ["8 Hotel"], "city": "Paris"}],
        "telecom": [{"system": "phone", "value": "1"}, {"system": "email", "use": "work", "value": "w@example.org"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "fr"}]}}],
    }
    for name, more in others.items():
        existing = resource.get(name, [])
        resource[name] = [*more, *existing] if seed % 2 else [*existing, *more]
    return resource


@given(
    resource=st.builds(with_siblings, PATIENTS, st.integers(0, 1)),
    name=st.sampled_from(sorted(CHANGES.keys() - {"last_name"})),
)
@settings(max_examples=examples(400), derandomize=True)
def test_a_cleared_column_is_not_read_from_a_sibling(resource: dict[str, Any], name: str) -> None:
    filled = COMPOSER.resource({name: CHANGES[name]}, into=resource).resource
    before = {other: read_column(other, filled) for other in CHANGES}
    cleared = COMPOSER.resource({}, into=filled, clear=[name]).resource
    assert {other: read_column(other, cleared) for other in CHANGES} == before | {name: None}
