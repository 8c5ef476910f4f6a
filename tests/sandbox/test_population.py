"""The sandbox's generated population: valid FHIR, reproducible, with the irregularities of real data."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from fhir.resources.R4B import get_fhir_model_class

from include.sandbox.population import OID, Size, Source
from include.sandbox.population.directory import npi
from include.sandbox.population.ids import key_of, opaque_id
from include.sandbox.population.sources import TYPES, loaded, made
from include.sandbox.searching import folded

ZONE = ZoneInfo("America/New_York")


def population(patients: int = 300, seed: int = 7) -> dict[str, Source]:
    size = Size(patients, practitioners=40, locations=20, seed=seed, zone=ZONE, today=date(2026, 11, 22))
    return made(size)


def all_records(source: Source) -> list[dict]:
    records = [source.resource(key) for key in source.numbers()]
    assert records
    return records


@pytest.fixture(scope="module")
def patients() -> list[dict]:
    return all_records(population()["Patient"])


def test_the_same_seed_makes_the_same_records_and_another_seed_makes_others():
    for kind in TYPES:
        first, second = all_records(population(30)[kind]), all_records(population(30)[kind])
        assert first == second
        assert first[0]["id"] != all_records(population(30, seed=8)[kind])[0]["id"]


def test_a_larger_population_begins_with_the_same_patients():
    assert all_records(population(300)["Patient"])[:30] == all_records(population(30)["Patient"])


@pytest.mark.parametrize("kind", TYPES)
def test_every_record_is_valid_fhir(kind):
    model = get_fhir_model_class(kind)
    for resource in all_records(population(120)[kind]):
        model.model_validate_json(json.dumps(resource))


@pytest.mark.parametrize("kind", TYPES)
def test_ids_are_opaque_and_unique_and_lead_back_to_their_record(kind):
    source = population()[kind]
    ids = [source.resource(key)["id"] for key in source.numbers()]
    assert len(set(ids)) == len(ids) == len(source)
    assert all(re.fullmatch(r"[A-Za-z0-9.\-]{43}", each) for each in ids)
    assert [source.key_of(each) for each in ids] == list(source.numbers())
    assert source.key_of(ids[0].swapcase()) is None, "ids are case-sensitive"
    assert source.key_of("nobody") is None
    assert source.key_of("ü" * 43) is None


def test_some_ids_contain_dots():
    ids = [opaque_id(1, "Practitioner", key) for key in range(100)]
    assert 20 < sum("." in each for each in ids) < 80
    assert key_of(1, "Patient", ids[0]) is None, "an id is valid only for its type"


def test_both_identifiers_share_one_system_and_differ_by_use(patients):
    for patient in patients:
        usual, secondary = patient["identifier"]
        assert (usual["use"], secondary["use"]) == ("usual", "secondary")
        assert usual["system"] == secondary["system"] == OID
        assert usual["value"] == patient["id"]
        assert secondary["value"].isdecimal()


def test_meta_has_last_updated_and_one_profile_and_no_version():
    records = population(60)
    for kind in ("Patient", "Practitioner", "Location", "Coverage", "Encounter"):
        for resource in all_records(records[kind]):
            assert sorted(resource["meta"]) == ["lastUpdated", "profile"]
            assert len(resource["meta"]["profile"]) == 1
    assert all("lastUpdated" not in each["meta"] for each in all_records(records["Organization"]))


def test_times_have_the_practices_offset_and_follow_daylight_saving(patients):
    offsets = {patient["meta"]["lastUpdated"][-6:] for patient in patients}
    assert offsets == {"-05:00", "-04:00"}
    for patient in patients:
        moment = datetime.fromisoformat(patient["meta"]["lastUpdated"])
        assert moment.utcoffset() == moment.astimezone(ZONE).utcoffset()


def _birth_sex(patient: dict) -> str:
    return next(each["valueCode"] for each in patient["extension"] if each["url"].endswith("birthsex"))


def _declined(patient: dict, url: str) -> bool:
    return any(each["url"].endswith(url) and "ASKU" in json.dumps(each) for each in patient["extension"])


IRREGULARITIES = {
    "a null date as date of death": lambda p: p.get("deceasedDateTime") == "1899-12-30T00:00:00-05:00",
    "inactive": lambda p: p["active"] is False,
    "an old name first": lambda p: p["name"][0]["use"] == "old",
    "an old address": lambda p: p["address"][0]["use"] == "old",
    "an e-mail without use": lambda p: any(t["system"] == "email" and "use" not in t for t in p["telecom"]),
    "name.text as Last First": lambda p: any(n.get("text") == f"{n['family']} {n['given'][0]}" for n in p["name"]),
    "a comma inside given": lambda p: any("," in given for name in p["name"] for given in name["given"]),
    "birth sex UNK": lambda p: _birth_sex(p) == "UNK",
    "race declined": lambda p: _declined(p, "us-core-race"),
    "ethnicity declined": lambda p: _declined(p, "us-core-ethnicity"),
    "a phone that is absent": lambda p: any("_value" in each for each in p["telecom"]),
}


@pytest.mark.parametrize("irregularity", IRREGULARITIES)
def test_some_patients_have_each_irregularity_and_some_do_not(patients, irregularity):
    having = [patient for patient in patients if IRREGULARITIES[irregularity](patient)]
    assert 0 < len(having) < len(patients)


def test_some_practitioners_have_only_a_name_and_some_locations_no_address():
    records = population()
    bare = [
        each for each in all_records(records["Practitioner"]) if set(each) == {"resourceType", "id", "meta", "name"}
    ]
    assert 0 < len(bare) < 40
    assert any("address" not in each for each in all_records(records["Location"]))
    assert any("_value" in each["telecom"][0] for each in all_records(records["Location"]))


def test_encounters_have_the_statuses_of_visits_and_appointments():
    encounters = all_records(population()["Encounter"])
    past = [each["status"] for each in encounters if each["period"]["start"] < "2026-11-22"]
    coming = [each["status"] for each in encounters if each["period"]["start"] >= "2026-11-23"]
    assert set(past) == {"finished", "cancelled", "planned"}
    assert set(coming) == {"planned", "arrived", "cancelled"}
    absent = sum(each["type"][0]["coding"][0]["code"] == "unknown" for each in encounters)
    assert len(encounters) / 2 < absent < len(encounters)
    assert all(each["class"]["code"] == "AMB" and each["reasonCode"][0]["text"] for each in encounters)
    assert all(each["meta"]["lastUpdated"] < "2026-11-22" for each in encounters if each["status"] == "planned")


def test_coverages_are_ordered_and_belong_to_a_patient():
    records = population(40)
    ids = {f"Patient/{patient['id']}" for patient in all_records(records["Patient"])}
    orders: dict[str, list[int]] = {}
    for coverage in all_records(records["Coverage"]):
        orders.setdefault(coverage["beneficiary"]["reference"], []).append(coverage["order"])
    assert set(orders) < ids, "some patients have no coverage"
    assert all(order == list(range(1, len(order) + 1)) for order in orders.values())
    assert max(map(len, orders.values())) == 3


def test_twins_share_family_name_birth_date_and_phone(patients):
    names = [each["name"][-1] for each in patients]
    assert names[40]["family"] == names[39]["family"]
    assert names[40]["given"][0] != names[39]["given"][0]
    assert patients[40]["birthDate"] == patients[39]["birthDate"]


def test_every_patient_has_a_name_that_begins_with_a_to_z(patients):
    for patient in patients:
        initials = {folded(name[part][0])[:1] for name in patient["name"] for part in ("family",)}
        assert initials & set("abcdefghijklmnopqrstuvwxyz")


def test_npi_has_the_published_check_digit():
    assert npi(23456789) == "1234567893", "CMS's own example"


def test_files_replace_the_population_and_their_search_references_become_ids(tmp_path):
    doctor = {"resourceType": "Practitioner", "id": "d1", "identifier": [{"system": "npi", "value": "9"}]}
    visit = {
        "resourceType": "Encounter",
        "id": "e1",
        "participant": [{"individual": {"reference": "Practitioner?identifier=npi|9"}}],
        "location": [{"location": {"reference": "Location?identifier=x|unknown"}}],
    }
    (tmp_path / "Practitioner.ndjson").write_text(json.dumps(doctor) + "\n")
    (tmp_path / "Encounter.ndjson").write_text(json.dumps(visit) + "\n\n")
    size = Size(5, 5, 5, seed=1, zone=ZONE, today=date(2026, 11, 22))
    sources = loaded(tmp_path, size)
    assert {kind: len(source) for kind, source in sources.items() if len(source)} == {
        "Practitioner": 1,
        "Encounter": 1,
        "Group": 2,
    }
    encounter = all_records(sources["Encounter"])[0]
    assert encounter["participant"][0]["individual"]["reference"] == "Practitioner/d1"
    assert encounter["location"][0]["location"]["reference"] == "Location?identifier=x|unknown"


def test_a_line_that_is_not_json_is_named(tmp_path):
    (tmp_path / "Location.ndjson").write_text('{"resourceType": "Location", "id": "1"}\n{"resourceType": \n')
    with pytest.raises(ValueError, match=r"Location\.ndjson, line 2: not JSON"):
        loaded(tmp_path, Size(1, 1, 1, seed=1, zone=ZONE, today=date(2026, 11, 22)))


def test_a_folder_without_files_is_refused(tmp_path):
    (tmp_path / "Patient-100.ndjson").write_text("{}\n")
    with pytest.raises(FileNotFoundError, match=r"no <Type>\.ndjson"):
        loaded(tmp_path, Size(1, 1, 1, seed=1, zone=ZONE, today=date(2026, 11, 22)))
