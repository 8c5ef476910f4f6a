"""A column of the CRM that is cleared: the other items of its list keep their places in eCW and in the CRM."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.fixtures.crm import on_sqlite
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw


@pytest.mark.parametrize("read_back", [True, False])
def test_clearing_the_middle_name_and_the_first_line_moves_no_other_value(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, read_back: bool
) -> None:
    crm_id, ecw_id = create_patient(
        crm, pushing, middle_name="Maria", address_line1="12 Main Street", address_line2="Apt 4"
    )
    [name, *_] = ecw_record(sandbox, ecw_id)["name"]
    edit_in_ecw(sandbox, ecw_id, name=[name | {"given": [*name["given"], "Luz"]}])
    pull("patient")
    crm.edit(crm_id, middle_name=None, address_line1=None)
    assert set(push_patient(pushing("r2"), crm_id).fields) == {"middle_name", "address_line1"}
    if read_back:
        assert confirm(pushing("r2"), crm_id).complete
    pull("patient")
    found = ecw_record(sandbox, ecw_id)
    assert (found["name"][0]["given"], found["address"][0]["line"]) == (["Ewa", None, "Luz"], [None, "Apt 4"])
    row = crm.row(crm_id)
    names = ("first_name", "middle_name", "address_line1", "address_line2")
    assert [row[name] for name in names] == ["Ewa", None, None, "Apt 4"]
    assert list(outbox(pushing())) == []
    assert crm.all("ecw_reject") == []
    crm.edit(crm_id, middle_name="Ana")
    assert push_patient(pushing("r3"), crm_id).fields == ("middle_name",)
    assert ecw_record(sandbox, ecw_id)["name"][0]["given"] == ["Ewa", "Ana", "Luz"]


STREET = {"line": ["9 Next Road"], "city": "Salem", "state": "OR", "postalCode": "97301"}


@on_sqlite
@pytest.mark.parametrize(
    ("cleared", "sibling"),
    [
        ("address_line1", {"address": STREET}),
        ("phone", {"telecom": {"system": "phone", "value": "5035550100"}}),
        ("language", {"communication": {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}}}),
    ],
)
def test_a_cleared_column_is_not_filled_from_a_sibling(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, cleared: str, sibling: dict[str, Any]
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing, address_line1="12 Main Street", language="English")
    for name, element in sibling.items():
        edit_in_ecw(sandbox, ecw_id, **{name: [*ecw_record(sandbox, ecw_id)[name], element]})
    pull("patient")
    before = crm.row(crm_id)
    crm.edit(crm_id, **{cleared: None})
    assert push_patient(pushing("r2"), crm_id).fields == (cleared,)
    for _ in range(2):
        pull("patient")
        assert list(outbox(pushing())) == []
    row = crm.row(crm_id)
    changed = {name: row[name] for name in row if row[name] != before[name] and name != "updated_at"}
    assert cleared in changed
    assert changed in ({cleared: None}, {cleared: None, f"{cleared}_text": None})
    for name, element in sibling.items():
        assert element in ecw_record(sandbox, ecw_id)[name]
    crm.edit(crm_id, **{cleared: before[cleared]})
    assert push_patient(pushing("r3"), crm_id).fields == (cleared,)
    assert list(outbox(pushing())) == []


CDC = "urn:oid:2.16.840.1.113883.6.238"
CUBAN = {"url": "detailed", "valueCoding": {"system": CDC, "code": "2182-4", "display": "Cuban"}}


@on_sqlite
@pytest.mark.parametrize("read_back", [True, False])
def test_a_detail_that_contradicts_the_new_ethnicity_is_removed_on_both_sides(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, read_back: bool
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing, ethnicity="Hispanic or Latino", ethnicity_detail="Cuban")
    pull("patient")
    crm.edit(crm_id, ethnicity="Not Hispanic or Latino")
    assert push_patient(pushing("r2"), crm_id).fields == ("ethnicity",)
    if read_back:
        confirm(pushing("r2"), crm_id)
    for _ in range(2):
        pull("patient")
        assert list(outbox(pushing())) == []
    assert "Cuban" not in str(ecw_record(sandbox, ecw_id))
    row = crm.row(crm_id)
    assert (row["ethnicity"], row["ethnicity_detail"]) == ("Not Hispanic or Latino", None)


@on_sqlite
def test_the_county_of_the_old_city_is_removed(sandbox: Any, crm: Any, pull: Any, pushing: Any) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    [address] = ecw_record(sandbox, ecw_id)["address"]
    edit_in_ecw(sandbox, ecw_id, address=[address | {"district": "Shawnee"}])
    pull("patient")
    crm.edit(crm_id, city="Lawrence")
    assert push_patient(pushing("r2"), crm_id).fields == ("city",)
    [address] = ecw_record(sandbox, ecw_id)["address"]
    assert (address["city"], "district" in address) == ("Lawrence", False)
    pull("patient")
    assert list(outbox(pushing())) == []
