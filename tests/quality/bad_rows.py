"""For each rule of each suite a golden bad row: a good row with one change that breaks this rule, and maybe others."""

from __future__ import annotations

from typing import Any

GOOD: dict[str, dict[str, Any]] = {
    "practitioner": {"active": True, "last_name": "Reyes", "first_name": "Ana", "phone": "9135550100"},
    "location": {"active": True, "postal_code": "12180", "state": "NY", "phone": "9135550100"},
    "patient": {
        "last_name": "Baxter",
        "first_name": "Amy",
        "birth_date": "1980-05-01",
        "gender": "Female",
        "phone": "9135550100",
        "practitioner": "Practitioner/known",
    },
    "insurance": {
        "patient": "Patient/known",
        "status": "active",
        "payer": "Blue Shield",
        "member_id": "M1",
        "policy_order": 1,
        "start_date": "2026-01-01",
        "end_date": "2026-12-31",
    },
    "encounter": {
        "patient": "Patient/known",
        "status": "Scheduled",
        "start_time": "2026-11-23T15:00:00+00:00",
        "end_time": "2026-11-23T15:45:00+00:00",
        "practitioner": "Practitioner/known",
        "location": "Location/known",
    },
}
# What must differ from row to row; `{}` becomes the row's number.
OWN = {"practitioner": {"npi": "1{:09}"}, "location": {"name": "House {}"}, "patient": {"mr_number": "{}"}}

BAD: dict[str, dict[tuple[str, str], dict[str, Any]]] = {
    "practitioner": {
        ("pattern", "ecw_id"): {"ecw_id": "not an id"},
        ("not_null", "last_name"): {"last_name": None},
        ("pattern", "npi"): {"npi": "123"},
        ("unique", "npi"): {"npi": "1000000000"},  # that of the first good row
        ("pattern", "state"): {"state": "New York"},
        ("pattern", "postal_code"): {"postal_code": "1218"},
        ("length", "phone"): {"phone": "5550100"},
        ("pattern", "email"): {"email": "ana at example"},
    },
    "location": {
        ("pattern", "ecw_id"): {"ecw_id": "not an id"},
        ("not_null", "name"): {"name": None},
        ("unique", "name"): {"name": "House 0"},
        ("pattern", "npi"): {"npi": "123"},
        ("pattern", "state"): {"state": "New York"},
        ("pattern", "postal_code"): {"postal_code": "1218"},
        ("length", "phone"): {"phone": "5550100"},
        ("length", "fax"): {"fax": "5550100"},
        ("range", "latitude"): {"latitude": 90.5},
        ("range", "longitude"): {"longitude": -181},
    },
    "patient": {
        ("pattern", "ecw_id"): {"ecw_id": "not an id"},
        ("not_null", "last_name"): {"last_name": None, "first_name": None},
        ("date", "birth_date"): {"birth_date": "2126-05-01"},
        ("not_null", "birth_date"): {"birth_date": None},
        ("date", "deceased_on"): {"deceased_on": "2126-05-01T10:00:00+00:00"},
        ("not_before", "deceased_on"): {"deceased_on": "1980-04-30T10:00:00+00:00"},
        ("not_null", "first_name"): {"first_name": None},
        ("not_null", "gender"): {"gender": None},
        ("not_null", "phone"): {"phone": None},
        ("known", "practitioner"): {"practitioner": "Practitioner/nobody"},
        ("not_null", "mr_number"): {"mr_number": None},
        ("unique", "mr_number"): {"mr_number": "0"},
        ("pattern", "state"): {"state": "New York"},
        ("pattern", "postal_code"): {"postal_code": "1218"},
        ("length", "phone"): {"phone": "5550100"},
        ("length", "mobile_phone"): {"mobile_phone": "5550100"},
        ("length", "work_phone"): {"work_phone": "5550100"},
        ("pattern", "email"): {"email": "amy at example"},
    },
    "insurance": {
        ("pattern", "ecw_id"): {"ecw_id": "not an id"},
        ("pattern", "patient"): {"patient": "Group/known"},
        ("known", "patient"): {"patient": "Patient/nobody"},
        ("in", "status"): {"status": "lapsed"},
        ("not_null", "payer"): {"payer": None},
        ("not_null", "member_id"): {"member_id": None},
        ("range", "policy_order"): {"policy_order": 0},
        ("date", "start_date"): {"start_date": "1899-12-31"},
        ("date", "end_date"): {"end_date": "1899-12-31"},
        ("not_before", "end_date"): {"end_date": "2025-12-31"},
    },
    "encounter": {
        ("pattern", "ecw_id"): {"ecw_id": "not an id"},
        ("pattern", "patient"): {"patient": "Group/known"},
        ("date", "start_time"): {"start_time": "1899-12-30T05:00:00+00:00"},
        ("not_null", "start_time"): {"start_time": None},
        ("not_null", "practitioner"): {"practitioner": None, "location": None},
        ("not_null", "status"): {"status": None},
        ("not_before", "end_time"): {"end_time": "2026-11-23T14:59:00+00:00"},
        ("known", "patient"): {"patient": "Patient/nobody"},
        ("known", "practitioner"): {"practitioner": "Practitioner/nobody"},
        ("known", "location"): {"location": "Location/nobody"},
    },
}


def good_row(resource: str, number: int) -> dict[str, Any]:
    """Return a row that breaks no rule."""
    own = {column: value.format(number) for column, value in OWN.get(resource, {}).items()}
    return {"ecw_id": f"good.{number}", **GOOD[resource], **own}


def bad_row(resource: str, rule: tuple[str, str], number: int) -> dict[str, Any]:
    """Return the row that breaks this rule."""
    return {**good_row(resource, 1000 + number), "ecw_id": f"bad.{number}", **BAD[resource][rule]}
