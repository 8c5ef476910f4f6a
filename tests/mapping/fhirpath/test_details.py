"""A write removes a county with its city and race details with their category, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.mapping.transform.to_resource import Composer
from tests.fixtures.examples import examples

Json = dict[str, Any]
COMPOSER = Composer(load_mapping("patient"))
CDC = "urn:oid:2.16.840.1.113883.6.238"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
TOPEKA: Json = {
    "use": "home",
    "line": ["1 A St"],
    "city": "Topeka",
    "district": "Shawnee",
    "_district": {"id": "d"},
    "state": "KS",
    "postalCode": "66603",
    "country": "US",
}


def address_after(row: Json, **before: Any) -> Json:
    composed = COMPOSER.resource(row, into={"resourceType": "Patient", "address": [TOPEKA | before]})
    assert composed.problems == []
    [address] = composed.resource["address"]
    return address


@pytest.mark.parametrize(
    "row",
    [
        {"city": "Lawrence"},
        {"city": "Lawrence", "postal_code": "66044"},
        {"state": "MO", "postal_code": "64108"},
        {"state": "Missouri"},
        {"country": "Mexico"},
        {"city": "Topekaville", "postal_code": "12345"},
    ],
    ids=str,
)
def test_another_city_state_or_country_removes_the_county(row: Json) -> None:
    address = address_after(row)
    assert not {"district", "_district"} & address.keys()
    assert {name: address[name] for name in ("use", "line")} == {"use": "home", "line": ["1 A St"]}


@pytest.mark.parametrize(
    ("row", "before"),
    [
        ({"address_line1": "2 B St"}, {}),
        ({"postal_code": "66604"}, {}),
        ({"city": "TOPEKA"}, {}),
        ({"city": "St. Louis"}, {"city": "Saint Louis"}),
        ({"state": "Kansas"}, {}),
        ({"country": "USA"}, {}),
        ({"city": "Topeka", "phone": "9135550111"}, {}),
        ({"city": "Topeka"}, {"city": None}),  # no city before
    ],
    ids=str,
)
def test_the_county_stays_if_the_city_state_and_country_stay(row: Json, before: Json) -> None:
    assert address_after(row, **before)["district"] == "Shawnee"


def test_another_address_keeps_its_county() -> None:
    patient = {"resourceType": "Patient", "address": [TOPEKA, TOPEKA | {"use": "work"}, {**TOPEKA, "use": "old"}]}
    after = COMPOSER.resource({"city": "Lawrence"}, into=patient).resource["address"]
    assert ["district" in each for each in after] == [False, True, True]


def test_a_county_that_the_mapping_pushes_is_written_and_not_removed(mapping_of: Callable[..., Mapping]) -> None:
    columns = "".join(
        f"      - {{name: {name}, label: A, path: \"address.current('home').{path}\", type: string, sync: both}}\n"
        for name, path in (("city", "city"), ("county", "district"))
    )
    composer, patient = Composer(mapping_of(columns)), {"resourceType": "Patient", "address": [TOPEKA]}
    for row, county in (({"city": "Auburn"}, "Shawnee"), ({"city": "Lawrence", "county": "Douglas"}, "Douglas")):
        assert composer.resource(row, into=patient).resource["address"][0]["district"] == county


# -- race and ethnicity


def part(code: str, url: str = "detailed", system: str = CDC) -> Json:
    return {"url": url, "valueCoding": {"system": system, "code": code, "display": code}}


def parts_after(kind: str, before: list[Json], **row: str) -> list[str]:
    """Return the codes of the details that the write leaves."""
    text = {"url": "text", "valueString": "x"}
    patient = {"resourceType": "Patient", "extension": [{"url": f"{US_CORE}{kind}", "extension": [*before, text]}]}
    composed = COMPOSER.resource(row, into=patient)
    assert composed.problems == []
    [extension] = composed.resource["extension"]
    return [each["valueCoding"]["code"] for each in extension["extension"] if each["url"] == "detailed"]


WHITE, ASIAN, BLACK = (part(code, "ombCategory") for code in ("2106-3", "2028-9", "2054-5"))
UNKNOWN = part("UNK", "ombCategory", "http://terminology.hl7.org/CodeSystem/v3-NullFlavor")
EUROPEAN, ARAB, CHINESE, LOCAL = part("2108-9"), part("2129-5"), part("2034-7"), part("X1", system="http://x.org")


@pytest.mark.parametrize(
    ("before", "race", "remaining"),
    [
        ([WHITE, EUROPEAN, ARAB], "Asian", []),
        ([WHITE, ASIAN, EUROPEAN, CHINESE], "Asian", ["2034-7"]),
        ([WHITE, EUROPEAN], "White; Asian", ["2108-9"]),
        ([WHITE, EUROPEAN], "White", ["2108-9"]),  # nothing changed
        ([WHITE, EUROPEAN], "Unknown", []),
        ([UNKNOWN, EUROPEAN], "Asian", []),
        ([EUROPEAN], "Asian", []),
        ([EUROPEAN], "White", ["2108-9"]),
        ([WHITE, LOCAL], "Asian", []),  # a detail of the category that the write removed
        ([WHITE, ASIAN, LOCAL], "Asian", ["X1"]),
        ([WHITE, part("2108-9", system="http://terminology.hl7.org/CodeSystem/CDCREC")], "Asian", []),
        ([part("1002-5", "ombCategory"), part("1044-7"), part("1840-8")], "White", []),
        ([BLACK, part("2058-6"), part("2071-9")], "Black or African American; White", ["2058-6", "2071-9"]),
        ([part("2076-8", "ombCategory"), part("2500-7"), part("2080-0")], "Asian", []),
    ],
)
def test_details_of_a_race_that_the_write_removes_are_removed(
    before: list[Json], race: str, remaining: list[str]
) -> None:
    assert parts_after("race", before, race=race) == remaining


HISPANIC, OTHER = part("2135-2", "ombCategory"), part("2186-5", "ombCategory")
CUBAN = part("2182-4")


@pytest.mark.parametrize(
    ("before", "row", "remaining"),
    [
        ([HISPANIC, CUBAN], {"ethnicity": "Not Hispanic or Latino"}, []),
        ([HISPANIC, CUBAN], {"ethnicity": "Declined to Specify"}, []),
        ([OTHER, CUBAN], {"ethnicity": "Hispanic or Latino"}, ["2182-4"]),
        # Details of the CRM itself are written, even if they do not fit its ethnicity.
        (
            [HISPANIC, CUBAN],
            {"ethnicity": "Not Hispanic or Latino", "ethnicity_detail": "Cuban; Dominican"},
            ["2182-4", "2184-0"],
        ),
    ],
)
def test_details_of_an_ethnicity_that_the_write_removes_are_removed(
    before: list[Json], row: dict[str, str], remaining: list[str]
) -> None:
    assert parts_after("ethnicity", before, **row) == remaining


TREE = {
    "American Indian or Alaska Native": (1004, 1735, 1966),
    "Asian": (2029, 2034, 2052),
    "Black or African American": (2056, 2075),
    "Native Hawaiian or Other Pacific Islander": (2078, 2104, 2500),
    "White": (2108, 2118, 2129),
}


@given(
    before=st.lists(st.sampled_from(sorted(TREE)), max_size=3, unique=True),
    details=st.lists(st.sampled_from([number for numbers in TREE.values() for number in numbers]), unique=True),
    after=st.lists(st.sampled_from(sorted(TREE)), min_size=1, max_size=3, unique=True),
)
@settings(max_examples=examples(200), derandomize=True)
def test_after_a_write_every_detail_belongs_to_a_race_of_the_patient(
    before: list[str], details: list[int], after: list[str]
) -> None:
    codes = COMPOSER.mapping.crosswalks["race"].codes
    extensions = [part(codes[race][0], "ombCategory") for race in before] + [part(f"{number}-0") for number in details]
    remaining = parts_after("race", extensions, race="; ".join(after))
    of_new_races = [f"{number}-0" for number in details if any(number in TREE[race] for race in after)]
    assert remaining == ([f"{number}-0" for number in details] if set(before) == set(after) else of_new_races)
