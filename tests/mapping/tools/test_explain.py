"""`ecw mapping preview` names the element that a column reads, and why not its siblings; it quotes no values."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.mapping.definition.files import load_mapping
from ecw.mapping.tools.preview import pulled

OLD = {"use": "home", "line": ["1 Old St"], "period": {"end": "2020-07-22"}}
NEW = {"use": "home", "line": ["2 New St"]}
PRACTITIONERS = [{"reference": name} for name in ("x", "Practitioner/1", "Organization/2", "Practitioner/3")]
MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"


def why(name: str, column: str, resource: dict[str, Any]) -> tuple[str, list[str]]:
    shown = next(one for one in pulled(load_mapping(name), resource).columns if one.column == column)
    assert not any(str(value) in reason for reason in shown.why for value in ("Old St", "New St", "5550100"))
    return shown.place, shown.why


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "p", **elements}


@pytest.mark.parametrize(
    ("elements", "column", "place", "reason"),
    [
        ({"address": [OLD, NEW]}, "address_line1", "address[1].line[0]", "address[0]: its period has ended"),
        ({"address": [{**NEW, "use": "old"}, NEW]}, "city", "", "address[0]: its use is old"),
        (
            {"generalPractitioner": PRACTITIONERS},
            "practitioner",
            "generalPractitioner[1].reference",
            "generalPractitioner[0].reference: it does not name a record as FhirType/id",
        ),
        (
            {"generalPractitioner": PRACTITIONERS},
            "practitioner",
            "generalPractitioner[1].reference",
            "generalPractitioner[2].reference: it names no Practitioner",
        ),
        (
            {"generalPractitioner": PRACTITIONERS},
            "practitioner",
            "generalPractitioner[1].reference",
            "generalPractitioner[3].reference: it comes after the one that is taken",
        ),
        (
            {"maritalStatus": {"coding": [{"system": MARITAL, "code": "M"}, {"system": MARITAL, "code": "S"}]}},
            "marital_status",
            "maritalStatus",
            "maritalStatus.coding[1]: another coding was taken before it",
        ),
        (
            {"communication": [{"language": {"coding": [{"system": "x", "code": "zz"}], "text": "English"}}]},
            "language",
            "communication[0].language",
            "communication[0].language: its text or display gave the value",
        ),
        (
            {"name": [{"use": "usual", "given": ["A"]}, {"family": "R"}]},
            "last_name",
            "name[1].family",
            "it has no value for the column",
        ),
        ({"name": [{"use": "temp", "family": "T"}, {"family": "R"}]}, "last_name", "name[1].family", "it is temporary"),
        (
            {"telecom": [{"system": "email", "value": "e"}, {"system": "phone", "value": "5550100"}]},
            "phone",
            "telecom[1].value",
            "telecom[0]: it does not satisfy where(system = 'phone')",
        ),
        (
            {"telecom": [{"system": "phone", "value": "1", "rank": 2}, {"system": "phone", "value": "2", "rank": 1}]},
            "phone",
            "telecom[1].value",
            "telecom[0]: its rank comes later",
        ),
        (
            {"maritalStatus": {"coding": [{"system": "x:y", "code": "1"}, {"code": "M"}]}},
            "marital_status",
            "maritalStatus",
            "maritalStatus.coding[0]: the crosswalk marital_status does not have its code in its system",
        ),
        (
            {"generalPractitioner": [{"reference": "Organization/o"}, {"reference": "Practitioner/a"}]},
            "practitioner",
            "generalPractitioner[1].reference",
            "generalPractitioner[0].reference: it names no Practitioner",
        ),
        ({"name": [{"text": "Roe, Ann"}]}, "last_name", "name[0].text", "name[0].text is used as fallback"),
    ],
)
def test_the_preview_names_the_element_and_the_reason_against_its_sibling(
    elements: dict[str, Any], column: str, place: str, reason: str
) -> None:
    chosen, reasons = why("patient", column, patient(**elements))
    assert chosen == place
    assert any(reason in each for each in reasons), reasons


def test_an_element_without_siblings_has_no_reason() -> None:
    assert why("patient", "gender", patient(gender="male")) == ("gender", [])
