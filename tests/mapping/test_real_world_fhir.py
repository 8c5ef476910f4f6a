"""FHIR as servers really send it: each rule of the mapping and the push, with examples.

The examples follow the specification (R4, US Core) and public reports; every rule has its own list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ecw.errors import MappingError
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.mapping.fhirpath.current import today
from ecw.mapping.transform.to_resource import Composed, Composer
from ecw.mapping.transform.to_row import MappedRow, Mapper
from ecw.mapping.validation.resource import judge

Json = dict[str, Any]
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
STANDARD = "http://hl7.org/fhir/StructureDefinition/"
ABSENT = {"extension": [{"url": f"{STANDARD}data-absent-reason", "valueCode": "unknown"}]}
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
CDC = "urn:oid:2.16.840.1.113883.6.238"
FHIR_TYPES = {"patient": "Patient", "insurance": "Coverage", "encounter": "Encounter", "practitioner": "Practitioner"}
MAPPERS = {name: Mapper(load_mapping(name)) for name in FHIR_TYPES}
COMPOSER = Composer(load_mapping("patient"))


def record(name: str, /, **elements: Any) -> Json:
    required: Json = {}
    if name == "insurance":
        required = {"status": "active", "beneficiary": {"reference": "Patient/p"}, "payor": [{"display": "Acme"}]}
    if name == "encounter":
        required = {"status": "planned", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p"}}
    return {"resourceType": FHIR_TYPES[name], "id": "x", **required, **elements}


def pull(name: str, /, **elements: Any) -> MappedRow:
    mapped = MAPPERS[name].row(record(name, **elements))
    assert mapped.problems == []
    return mapped


def push(into: Json, clear: tuple[str, ...] = (), **row: Any) -> Composed:
    composed = COMPOSER.resource(row, into=record("patient", **into), clear=clear)
    assert composed.problems == []
    return composed


def race(*parts: Json) -> Json:
    return {"url": f"{US_CORE}us-core-race", "extension": list(parts)}


def category(code: str, display: str, url: str = "ombCategory") -> Json:
    return {"url": url, "valueCoding": {"system": CDC, "code": code, "display": display}}


def text(value: str) -> Json:
    return {"url": "text", "valueString": value}


WHITE, ASIAN = category("2106-3", "White"), category("2028-9", "Asian")
DETAIL = category("2108-9", "European", "detailed")


# -- 1: a push does not overwrite a more precise value of eCW


@pytest.mark.parametrize(
    ("into", "row", "after"),
    [
        # A date of death already means deceased, even if it is only a year or a month.
        ({"deceasedDateTime": "2020"}, {"deceased": True}, {"deceasedDateTime": "2020"}),
        ({"deceasedDateTime": "2020-05"}, {"deceased": True}, {"deceasedDateTime": "2020-05"}),
        # A null date means no value; and alive contradicts a date of death.
        ({"deceasedDateTime": "1900-01-01"}, {"deceased": True}, {"deceasedBoolean": True}),
        ({"deceasedDateTime": "2020-05-06"}, {"deceased": False}, {"deceasedBoolean": False}),
        # The time of birth on the same day stays; an unknown extension always stays.
        (
            {
                "birthDate": "1980",
                "_birthDate": {
                    "extension": [
                        {"url": f"{STANDARD}patient-birthTime", "valueDateTime": "1980-02-03T14:35:45-05:00"},
                        {"url": "http://example.org/source", "valueString": "passport"},
                    ]
                },
            },
            {"birth_date": "1980-02-03"},
            {
                "birthDate": "1980-02-03",
                "_birthDate": {
                    "extension": [
                        {"url": f"{STANDARD}patient-birthTime", "valueDateTime": "1980-02-03T14:35:45-05:00"},
                        {"url": "http://example.org/source", "valueString": "passport"},
                    ]
                },
            },
        ),
        # The parts of the old family name and the reason for the missing given name are removed.
        (
            {
                "name": [
                    {
                        "family": "van Roe",
                        "_family": {"extension": [{"url": f"{STANDARD}humanname-own-name", "valueString": "Roe"}]},
                        "given": [None],
                        "_given": [ABSENT],
                    }
                ]
            },
            {"last_name": "Doe", "first_name": "Ann"},
            {"name": [{"family": "Doe", "given": ["Ann"]}]},
        ),
        # The display of the old reference is removed.
        (
            {
                "extension": [
                    {
                        "url": "http://eclinicalworks.com/supportingInfo/defaultFacility",
                        "valueReference": {"reference": "Location/a", "type": "Location", "display": "North"},
                    }
                ]
            },
            {"default_location": "Location/b"},
            {
                "extension": [
                    {
                        "url": "http://eclinicalworks.com/supportingInfo/defaultFacility",
                        "valueReference": {"reference": "Location/b", "type": "Location"},
                    }
                ]
            },
        ),
        # The geolocation of the old street is removed (every Synthea patient has one).
        (
            {
                "address": [
                    {
                        "extension": [{"url": f"{STANDARD}geolocation", "extension": [{"url": "latitude"}]}],
                        "line": ["1 Old St"],
                        "city": "Ayer",
                    }
                ]
            },
            {"address_line1": "9 Next Rd"},
            {"address": [{"line": ["9 Next Rd"], "city": "Ayer"}]},
        ),
    ],
)
def test_a_push_keeps_more_precise_values_and_removes_contradictions(into: Json, row: Json, after: Json) -> None:
    assert push(into, **row).resource == record("patient", **after)


@pytest.mark.parametrize(
    ("into", "clear", "after"),
    [
        (
            {
                "telecom": [
                    {"system": "phone", "use": "home", "value": "1", "rank": 1},
                    {"system": "email", "value": "e"},
                ]
            },
            ("phone",),
            {"telecom": [{"system": "email", "value": "e"}]},
        ),
        (
            {"communication": [{"language": {"text": "Spanish"}, "preferred": True}]},
            ("language",),
            {},
        ),
        # US Core requires the text beside a detail: it is made from the remaining parts.
        (
            {
                "extension": [
                    race(category("2106-3", "White"), category("2108-9", "European", "detailed"), text("White"))
                ]
            },
            ("race",),
            {"extension": [race(category("2108-9", "European", "detailed"), text("European"))]},
        ),
        ({"extension": [race(WHITE, text("White"))]}, ("race",), {}),
        (
            {"name": [{"family": "Roe", "given": ["Ann", "Mae"], "text": "Ann Mae Roe"}]},
            ("middle_name",),
            {"name": [{"family": "Roe", "given": ["Ann"], "text": "Ann Roe"}]},
        ),
    ],
)
def test_clearing_a_column_leaves_no_incomplete_element(into: Json, clear: tuple[str, ...], after: Json) -> None:
    assert push(into, clear).resource == record("patient", **after)


def test_a_text_does_not_replace_a_concept(mapping_of: Callable[..., Mapping]) -> None:
    column = (
        "      - {name: food, label: Food, path: \"extension('http://x.org/diet').value.ofType(string)\", "
        "type: string, sync: both}\n"
    )
    existing = {
        "resourceType": "Patient",
        "extension": [{"url": "http://x.org/diet", "valueCodeableConcept": {"text": "a"}}],
    }
    composed = Composer(mapping_of(column)).resource({"food": "b"}, into=existing)
    assert [(problem.column, problem.rule) for problem in composed.problems] == [("food", "less precise type")]
    assert composed.resource == existing


# -- 2: text beside parts


@pytest.mark.parametrize(
    ("before", "row", "text"),
    [
        ({"family": "Roe", "given": ["Ann"], "text": "Ann Roe"}, {"last_name": "Doe"}, "Ann Doe"),
        ({"family": "Roe", "given": ["Ann"], "text": "Roe, Ann"}, {"last_name": "Doe"}, "Doe, Ann"),
        ({"family": "Roe", "given": ["Ann"], "text": "ROE ANN"}, {"first_name": "Jo"}, "Roe Jo"),
        ({"family": "Roe", "given": ["Ann"], "text": "Dr. Annie"}, {"first_name": "Jo"}, "Jo Roe"),
        ({"family": "Roe", "given": ["Ann"]}, {"first_name": "Jo"}, None),
        ({"family": "Roe", "given": ["Ann"], "text": "Annie"}, {"first_name": "Ann"}, "Annie"),  # nothing was written
    ],
)
def test_the_text_of_a_name_is_updated_with_its_parts(before: Json, row: Json, text: str | None) -> None:
    assert push({"name": [before]}, **row).resource["name"][0].get("text") == text


def test_the_text_of_a_concept_follows_its_code() -> None:
    existing = {"maritalStatus": {"coding": [{"system": f"{V3}MaritalStatus", "code": "S"}], "text": "Never Married"}}
    assert push(existing, marital_status="Single").resource["maritalStatus"] == existing["maritalStatus"]
    assert push(existing, marital_status="Widowed").resource["maritalStatus"]["text"] == "Widowed"


# -- 3: references that do not resolve to a record


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": "#org1"},
        {"reference": "https://payers.example.com/v1/payer/60054"},
        {"reference": "org1", "type": "Organization"},
        {"identifier": {"system": "urn:oid:1.2", "value": "60054"}},
        {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
        {"reference": "Organization?identifier=urn:oid:1.2|60054"},
    ],
)
def test_an_optional_reference_to_no_record_empties_only_its_column(reference: Json) -> None:
    mapped = pull("insurance", payor=[{**reference, "display": "Aetna"}])
    assert (mapped.row["payer"], mapped.row["payer_reference"]) == ("Aetna", None)
    assert [problem.column for problem in mapped.warnings] == (["payer_reference"] if "reference" in reference else [])


@pytest.mark.parametrize(
    "reference",
    [{"reference": "#p"}, {"identifier": {"value": "1"}}, {"reference": "Group/1"}, {"reference": "urn:uuid:0c3151bd"}],
)
def test_a_required_reference_to_no_record_rejects_the_record(reference: Json) -> None:
    mapped = MAPPERS["encounter"].row(record("encounter", subject=reference))
    assert [problem.column for problem in mapped.problems] == ["patient"]


@pytest.mark.parametrize(
    "reference", ["Patient/p", "Patient/p/_history/3", "https://x.org/fhir/r4/ABC/Patient/p/_history/3", "Patient/p/"]
)
def test_a_reference_with_a_version_or_a_base_url_means_the_same_record(reference: str) -> None:
    assert pull("insurance", beneficiary={"reference": reference}).row["patient"] == "Patient/p"


def test_the_payer_is_the_name_of_a_contained_payor() -> None:
    contained = [{"resourceType": "Organization", "id": "o", "name": "Aetna"}]
    assert pull("insurance", contained=contained, payor=[{"reference": "#o"}]).row["payer"] == "Aetna"


@pytest.mark.parametrize(
    ("base", "record"),
    [
        ("https://fhir.example.com/fhir/r4/ABC", "Location/l"),
        ("http://fhir.example.com/fhir/r4/ABC", "Location/l"),  # eCW's links say http
        ("https://staging.example.com/fhir/r4/ABC", "Location/l"),
        ("https://fhir.example.com/fhir/r4/XYZ", None),  # another practice: its ids are other records
        ("https://other.example.org/fhir", None),
    ],
)
def test_a_reference_to_another_server_is_empty(base: str, record: str | None) -> None:
    from dataclasses import replace

    mapping = replace(load_mapping("encounter"), base_url="https://fhir.example.com/fhir/r4/ABC")
    existing = [{"location": {"reference": f"{base}/Location/l"}}]
    assert Mapper(mapping).row(globals()["record"]("encounter", location=existing)).row["location"] == record


# -- 4: current and former elements


@pytest.mark.parametrize(
    ("names", "last_name"),
    [
        ([{"use": "old", "family": "A"}, {"family": "B"}], "B"),
        ([{"use": "official", "family": "A"}, {"use": "usual", "family": "B"}], "B"),
        ([{"use": "usual", "_family": ABSENT, "given": ["x"]}, {"use": "official", "family": "B"}], "B"),
        ([{"use": "temp", "family": "A"}, {"use": "official", "family": "B"}], "B"),
        ([{"use": "temp", "family": "A"}], "A"),
        ([{"use": "maiden", "family": "A"}, {"use": "nickname", "family": "B"}], "B"),
        ([{"family": "A", "period": {"end": "1999"}}, {"family": "B"}], "B"),
        ([{"family": "A", "period": {"end": "9999-12-31"}}, {"use": "official", "family": "B"}], "B"),
        ([{"use": "usual", "family": "A", "period": {"end": "1899-12-30T00:00:00-05:00"}}, {"family": "B"}], "A"),
        ([{"family": "A", "period": {"start": "2001"}}, {"family": "B", "period": {"start": "2019-03"}}], "B"),
        ([{"family": "A", "period": {"start": "2999"}}, {"family": "B"}], "B"),
        ([{"use": "old", "family": "A"}], None),
    ],
)
def test_the_current_name_is_mapped(names: list[Json], last_name: str | None) -> None:
    assert pull("patient", name=names).row["last_name"] == last_name


@pytest.mark.parametrize(
    ("telecom", "phone"),
    [
        ([{"use": "home", "value": "1", "rank": 2}, {"use": "home", "value": "2", "rank": 1}], "2"),
        ([{"value": "1"}, {"use": "home", "value": "2"}], "2"),
        ([{"use": "home", "_value": ABSENT}, {"value": "2"}], "2"),
        ([{"use": "old", "value": "1"}, {"use": "work", "value": "3"}, {"value": "2"}], "2"),
        ([{"use": "work", "value": "3"}], None),
        ([{"use": "home", "value": "1", "period": {"end": "2020-01-01T00:00:00Z"}}], None),
    ],
)
def test_the_current_home_phone_is_mapped(telecom: list[Json], phone: str | None) -> None:
    assert pull("patient", telecom=[{"system": "phone", **each} for each in telecom]).row["phone"] == phone


def test_an_element_is_current_on_its_last_day() -> None:
    names = [{"family": "A", "period": {"end": today()}}, {"family": "B", "period": {"start": "1990"}}]
    assert pull("patient", name=names[:1]).row["last_name"] == "A"


@pytest.mark.parametrize(
    ("addresses", "at"),
    [
        ([{"use": "old", "line": ["1"]}, {"use": "home", "line": ["2"]}], 1),
        ([{"line": ["1"]}, {"use": "home", "city": "x"}], 0),
        ([{"use": "temp", "line": ["1"]}, {"line": ["2"], "period": {"start": "2020"}}], 1),
    ],
)
def test_a_push_writes_to_the_element_that_a_pull_reads(addresses: list[Json], at: int) -> None:
    after = push({"address": addresses}, city="Salem").resource["address"]
    assert after == [{**each, "city": "Salem"} if n == at else each for n, each in enumerate(addresses)]


def test_a_push_adds_an_element_if_all_existing_ones_have_ended() -> None:
    former = {"use": "home", "line": ["1"], "period": {"end": "2020"}}
    assert push({"address": [former]}, city="Salem").resource["address"] == [former, {"use": "home", "city": "Salem"}]


# -- 5: codes have systems


@pytest.mark.parametrize(
    ("concept", "value"),
    [
        ({"coding": [{"system": "http://hl7.org/fhir/v3/MaritalStatus", "code": "M"}]}, "Married"),
        ({"coding": [{"system": "urn:oid:2.16.840.1.113883.5.2", "code": "M"}]}, "Married"),
        ({"coding": [{"system": f"{V3}MaritalStatus|2.0.0", "code": "M"}]}, "Married"),
        ({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus/", "code": "M"}]}, "Married"),
        ({"coding": [{"code": "M"}]}, "Married"),
        ({"coding": [{"system": "http://x.org/local", "code": "M"}]}, "M"),  # unmapped: the policy keeps the code
        (
            {"coding": [{"system": "http://x.org", "code": "1"}, {"system": f"{V3}NullFlavor", "code": "UNK"}]},
            "Unknown",
        ),
        (
            {
                "coding": [
                    {"system": f"{V3}MaritalStatus", "code": "S"},
                    {"system": f"{V3}MaritalStatus", "code": "W", "userSelected": True},
                ]
            },
            "Widowed",
        ),
        ({"coding": [{"system": "http://x.org", "code": "9", "display": "widowed"}]}, "Widowed"),
        ({"text": " never  MARRIED "}, "Single"),
        ({"text": "it is complicated"}, None),
    ],
)
def test_the_marital_status_comes_from_a_coding_of_a_known_system_or_the_text(concept: Json, value: str | None) -> None:
    mapped = pull("patient", maritalStatus=concept)
    assert mapped.row["marital_status"] == value
    assert (mapped.row["marital_status_text"] or "") == concept.get("text", "").strip()


@pytest.mark.parametrize(
    ("coding", "value", "unmapped"),
    [
        ({"system": "https://nahdo.org/sopt", "code": "1"}, "Medicare", False),
        ({"system": "urn:oid:2.16.840.1.113883.3.221.5", "code": "1"}, "Medicare", False),
        ({"system": "http://x.org/financial-class", "code": "1"}, "1", True),
    ],
)
def test_a_coverage_type_is_mapped_only_from_a_known_system(coding: Json, value: str, unmapped: bool) -> None:
    mapped = pull("insurance", type={"coding": [coding]})
    assert mapped.row["coverage_type"] == value
    assert mapped.unmapped == ([("coverage_type", "1")] if unmapped else [])


@pytest.mark.parametrize(
    "existing",
    [
        {"text": "English"},
        {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}, {"system": "http://x.org", "code": "151"}]},
        {
            "coding": [{"system": "urn:oid:2.16.840.1.113883.6.121", "code": "en", "userSelected": True}],
            "text": "English",
        },
    ],
)
def test_a_push_removes_codings_of_the_old_value(existing: Json) -> None:
    after = push({"communication": [{"language": existing}]}, language="Spanish").resource["communication"]
    coding = {"system": "urn:ietf:bcp:47", "code": "SPA", "display": "Spanish"}
    assert after == [{"language": {"coding": [coding], "text": "Spanish"}}]


def test_a_push_keeps_codings_of_the_same_value() -> None:
    codings = [{"system": "http://x.org", "code": "1"}, {"system": "urn:ietf:bcp:47", "code": "es"}]
    existing = {"communication": [{"language": {"coding": codings, "text": "Spanish"}}]}
    assert push(existing, language="Spanish").resource == record("patient", **existing)


# -- 6: several categories


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([category("2106-3", "White"), category("2028-9", "Asian"), text("Mixed")], "White; Asian"),
        ([category("2106-3", "White"), category("2106-3", "White")], "White"),
        ([category("2106-3", "White"), category("9999-9", "?")], "White; 9999-9"),
        ([text("Asian")], "Asian"),
        ([text("Mixed")], None),
    ],
)
def test_all_race_categories_are_mapped_in_one_value(parts: list[Json], value: str | None) -> None:
    assert pull("patient", extension=[race(*parts)]).row["race"] == value


@pytest.mark.parametrize(
    ("value", "after"),
    [
        ("White; Asian", [WHITE, DETAIL, ASIAN, text("Mixed")]),  # nothing changed
        ("Asian; White", [WHITE, DETAIL, ASIAN, text("Mixed")]),
        ("White", [WHITE, DETAIL, text("White")]),
        ("White; Asian; Other Race", [WHITE, DETAIL, ASIAN, text("White; Asian; Other Race"), "new"]),
    ],
)
def test_a_push_changes_only_the_categories_that_the_crm_changed(value: str, after: list[Any]) -> None:
    new = category("2131-1", "Other Race")
    composed = push({"extension": [race(WHITE, DETAIL, ASIAN, text("Mixed"))]}, race=value)
    assert composed.resource["extension"] == [race(*(new if part == "new" else part for part in after))]


def test_several_details_are_pulled_and_pushed() -> None:
    parts = [category("2182-4", "Cuban", "detailed"), category("2184-0", "Dominican", "detailed")]
    existing = {"extension": [{"url": f"{US_CORE}us-core-ethnicity", "extension": parts}]}
    assert pull("patient", **existing).row["ethnicity_detail"] == "Cuban; Dominican"
    after = push(existing, ethnicity_detail="Dominican").resource["extension"][0]["extension"]
    assert after == parts[1:]


# -- 7: references of the right kind


def participant(reference: str, *codes: str) -> Json:
    types = [{"coding": [{"system": f"{V3}ParticipationType", "code": code}]} for code in codes]
    return {"individual": {"reference": reference}, **({"type": types} if types else {})}


@pytest.mark.parametrize(
    ("participants", "practitioner"),
    [
        ([participant("Practitioner/r", "REF"), participant("Practitioner/p", "PPRF")], "Practitioner/p"),
        ([participant("Practitioner/c", "CON"), participant("Practitioner/a", "ATND")], "Practitioner/a"),
        ([participant("RelatedPerson/m", "ATND"), participant("Practitioner/a", "ATND")], "Practitioner/a"),
        ([participant("RelatedPerson/m")], None),
        ([participant("Practitioner/r", "REF"), participant("Practitioner/n")], "Practitioner/n"),
        ([participant("Practitioner/r", "REF")], "Practitioner/r"),
        ([participant("PractitionerRole/x", "PPRF"), participant("Practitioner/a", "ATND")], "Practitioner/a"),
        ([participant("#role", "PPRF")], "Practitioner/inside"),
    ],
)
def test_the_practitioner_is_the_primary_performer_or_the_attender(
    participants: list[Json], practitioner: str | None
) -> None:
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/inside"}}
    assert pull("encounter", participant=participants, contained=[role]).row["practitioner"] == practitioner


@pytest.mark.parametrize(
    ("references", "practitioner"),
    [
        (["Organization/o", "Practitioner/a"], "Practitioner/a"),
        (["Organization/o"], None),
        (["Practitioner/a/_history/2", "Practitioner/b"], "Practitioner/a"),
    ],
)
def test_an_organization_is_not_mapped_as_the_general_practitioner(
    references: list[str], practitioner: str | None
) -> None:
    existing = [{"reference": each} for each in references]
    assert pull("patient", generalPractitioner=existing).row["practitioner"] == practitioner


@pytest.mark.parametrize(
    ("states", "location"),
    [
        (["completed", "active"], "Location/1"),
        (["completed", "planned"], "Location/1"),
        ([None, "active"], "Location/1"),
        (["completed", None], "Location/1"),
        (["completed", "completed"], "Location/0"),
    ],
)
def test_the_location_is_the_one_that_is_not_completed(states: list[str | None], location: str) -> None:
    places = [
        {"location": {"reference": f"Location/{at}"}, **({"status": state} if state else {})}
        for at, state in enumerate(states)
    ]
    assert pull("encounter", location=places).row["location"] == location


@pytest.mark.parametrize(
    ("payors", "payer", "reference"),
    [
        ([{"reference": "Patient/p"}, {"reference": "Organization/o", "display": "Aetna"}], "Aetna", "Organization/o"),
        ([{"display": "Aetna"}, {"display": "Cigna"}], "Aetna", None),
        ([{"reference": "Organization/o"}], None, "Organization/o"),
    ],
)
def test_the_payer_is_the_first_payor_that_has_a_name(
    payors: list[Json], payer: str | None, reference: str | None
) -> None:
    row = pull("insurance", payor=payors).row
    assert (row["payer"], row["payer_reference"]) == (payer, reference)


# -- 8: dates

NULL = ["0001-01-01", "1899-12-30", "1900-01-01", "9999-12-31", "1899-12-31T04:00:00Z", "0001-01-01T00:00:00Z"]


@pytest.mark.parametrize("null", [*NULL, "9999-12-31T23:59:59.999-05:00", "0001", "9999"])
def test_a_null_date_is_null_in_every_column(null: str) -> None:
    patient = pull("patient", birthDate=null[:10], deceasedDateTime=null)
    assert [patient.row[name] for name in ("birth_date", "deceased", "deceased_on")] == [None] * 3
    assert patient.warnings == []
    insurance = pull("insurance", period={"start": null, "end": null})
    assert [insurance.row[name] for name in ("start_date", "end_date")] == [None] * 2
    encounter = pull("encounter", period={"start": null, "end": null})
    assert [encounter.row[name] for name in ("start_time", "end_time")] == [None] * 2


@pytest.mark.parametrize(("day", "deceased"), [("2020", True), ("2020-05", True), ("1900", True), ("2020-05-06", True)])
def test_a_partial_date_of_death_still_means_deceased(day: str, deceased: bool) -> None:
    mapped = pull("patient", deceasedDateTime=day)
    assert mapped.row["deceased"] is deceased
    assert [problem.column for problem in mapped.warnings] == (["deceased_on"] if len(day) < 10 else [])


@pytest.mark.parametrize(("born", "day"), [("1970", None), ("1970-02", None), ("1970-02-03", "1970-02-03")])
def test_a_partial_birth_date_is_a_warning_and_not_a_reject(born: str, day: str | None) -> None:
    mapped = pull("patient", birthDate=born, name=[{"family": "Roe"}])
    assert mapped.row["birth_date"] == day
    assert [(problem.column, problem.rule) for problem in mapped.warnings] == (
        [] if day else [("birth_date", "partial date")]
    )


@pytest.mark.parametrize("null", NULL[:4])
def test_a_null_date_of_the_crm_is_not_sent(null: str) -> None:
    assert push({"birthDate": "1980-02-03"}, birth_date=null).written == []


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2023-05-16T15:00:00", "2023-05-16T19:00:00+00:00"),
        ("2023-01-16T15:00:00.5", "2023-01-16T20:00:00.500000+00:00"),
        ("2023-05-16T15:00", "2023-05-16T19:00:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_practices_time_zone(time: str, utc: str) -> None:
    resource = record("encounter", period={"start": time})
    assert judge(resource, MAPPERS["encounter"].elements)[0] == []
    assert MAPPERS["encounter"].row(resource).row["start_time"] == utc


# -- 9: errors in elements that no column uses; names


@pytest.mark.parametrize(
    ("name", "elements", "place"),
    [
        ("encounter", {"statusHistory": [{"status": "planned"}]}, "Encounter.statusHistory[0].period"),
        ("encounter", {"diagnosis": [{"rank": 1}]}, "Encounter.diagnosis[0].condition"),
        ("encounter", {"length": {"value": "x"}}, "Encounter.length.value"),
        ("patient", {"photo": [{"creation": "x"}]}, "Patient.photo[0].creation"),
        ("patient", {"link": [{"type": "refer"}]}, "Patient.link[0].other"),
        ("patient", {"extension": [{"url": "http://x.org", "valueDate": "x"}]}, "Patient.extension[0].valueDate"),
        ("patient", {"contained": [{"resourceType": "Nothing"}]}, "Patient.contained"),
        ("patient", {"nonsense": 1}, "Patient"),
        ("insurance", {"costToBeneficiary": [{}]}, "Coverage.costToBeneficiary[0]"),
    ],
)
def test_an_error_in_an_element_that_no_column_uses_is_reported_and_rejects_nothing(
    name: str, elements: Json, place: str
) -> None:
    wrong, spared = judge(record(name, **elements), MAPPERS[name].elements)
    assert wrong == []
    assert spared
    assert all(problem.reason.startswith(place) for problem in spared)


@pytest.mark.parametrize(
    ("name", "elements"),
    [
        ("patient", {"birthDate": "x"}),
        ("patient", {"name": [{"family": ["Roe"]}]}),
        ("patient", {"name": [{"period": {"end": "x"}}]}),  # the period decides which name is current
        ("patient", {"telecom": [{"system": "phon e", "value": 1}]}),
        ("patient", {"maritalStatus": {"coding": [{"code": 1}]}}),
        ("patient", {"extension": [{"url": f"{US_CORE}us-core-birthsex", "valueCode": 1}]}),
        ("encounter", {"period": {"start": "x"}}),
        ("insurance", {"beneficiary": "Patient/p"}),
    ],
)
def test_an_error_in_an_element_that_a_column_uses_rejects_the_record(name: str, elements: Json) -> None:
    assert judge(record(name, **elements), MAPPERS[name].elements)[0] != []


@pytest.mark.parametrize(
    ("name", "last", "first"),
    [
        ({"text": "Roe, Ann"}, "Roe", "Ann"),
        ({"text": "van der Roe, Ann  Mae"}, "van der Roe", "Ann Mae"),
        ({"given": ["Suharto"]}, None, "Suharto"),
        ({"given": ["Suharto"], "text": "Suharto"}, None, "Suharto"),
        ({"family": "Roe", "text": "Ann Roe"}, "Roe", None),
    ],
)
def test_the_parts_of_a_name_are_mapped_as_far_as_they_are_known(
    name: Json, last: str | None, first: str | None
) -> None:
    row = pull("patient", name=[name]).row
    assert (row["last_name"], row["first_name"]) == (last, first)


@pytest.mark.parametrize("name", ["王小明", "Ann Roe", "Roe, Ann, Jr.", "Roe,"])
def test_a_name_text_that_cannot_be_split_is_a_reject_that_does_not_quote_it(name: str) -> None:
    problems = MAPPERS["patient"].row(record("patient", name=[{"text": name}])).problems
    assert {problem.rule for problem in problems} == {"name.text"}
    assert not any(name in problem.reason for problem in problems)


# -- 13: two columns that can write to one place

PHONE = '      - {name: NAME, label: N, path: "PATH", type: string, sync: both}\n'


def two_columns(one: str, other: str) -> str:
    return PHONE.replace("NAME", "one").replace("PATH", one) + PHONE.replace("NAME", "two").replace("PATH", other)


MOBILE = "telecom.where(system='phone' and use='mobile').value"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"telecom.where(system='phone' and use='home').value | {MOBILE}", MOBILE),
        ("telecom.where(system='phone').current('home', 'mobile').value", MOBILE),
        ("telecom.where(system='phone').first().value", MOBILE),
        ("name.current().family", "name.where(use='usual').first().family"),
        (
            "(address.where(use='home') | address.where(use='work')).first().city",
            "address.where(use='work').first().city",
        ),
        ("multipleBirth.ofType(boolean)", "multipleBirth.ofType(integer)"),
        ("maritalStatus.text", "maritalStatus.text"),
        ("extension('u').value.ofType(string)", "extension('u').value.ofType(code)"),
    ],
)
def test_two_columns_that_can_write_to_one_place_are_refused_with_both_lines(
    mapping_of: Callable[..., Mapping], one: str, other: str
) -> None:
    with pytest.raises(MappingError, match=r"mine\.yaml:9:9: 'two' and 'one' of line 8 can write to the same place"):
        mapping_of(two_columns(one, other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("telecom.where(system='phone' and use='home').value", MOBILE),
        ("telecom.where(system='phone').current('home').value", MOBILE),
        ("telecom.where(use.empty()).first().value", "telecom.where(use='home').first().value"),
        ("name.current().given[0]", "name.current().given[1]"),
        ("name.current().family", "name.where(use='old').first().family"),
        ("extension('u').value.ofType(string)", "extension('v').value.ofType(string)"),
        ("maritalStatus.text", "maritalStatus.coding.first().code"),
    ],
)
def test_two_columns_that_cannot_write_to_one_place_are_accepted(
    mapping_of: Callable[..., Mapping], one: str, other: str
) -> None:
    assert len(mapping_of(two_columns(one, other)).pushed) == 2


def test_write_path_decides_which_column_writes_to_a_place(mapping_of: Callable[..., Mapping]) -> None:
    home = "telecom.where(system='phone' and use='home').value"
    columns = two_columns(f"{home} | {MOBILE}", MOBILE).replace("sync: both", f'write_path: "{home}", sync: both', 1)
    composer = Composer(mapping_of(columns))
    mobile = {"system": "phone", "use": "mobile", "value": "2"}
    composed = composer.resource({"one": "1"}, into={"resourceType": "Patient", "telecom": [mobile]})
    assert composed.resource["telecom"] == [mobile, {"system": "phone", "use": "home", "value": "1"}]


@pytest.mark.parametrize("name", ["patient"])
def test_no_two_shipped_columns_can_write_to_one_place(name: str) -> None:
    from ecw.mapping.definition.overlap import overlaps

    pushed = load_mapping(name).pushed
    assert len(pushed) > 20
    assert list(overlaps(pushed)) == []
