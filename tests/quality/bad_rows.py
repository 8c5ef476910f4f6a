"""A bad row for each rule of each suite: a good row with a change that breaks this rule, and maybe others."""

from __future__ import annotations

from typing import Any

TO = "expect_column_values_to_"
REGEX, NOT_NULL, UNIQUE, BETWEEN, IN = (
    f"{TO}{word}" for word in ("match_regex", "not_be_null", "be_unique", "be_between", "be_in_set")
)
LINKED = f"{TO}refer_to_linked_records"
LENGTH = "expect_column_value_lengths_to_be_between"
NOT_BEFORE = "expect_column_pair_values_a_to_be_greater_than_b"
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
# Values that must differ between rows; `{}` becomes the row's number.
UNIQUE_VALUES = {"practitioner": {"npi": "1{:09}"}, "location": {"name": "House {}"}, "patient": {"mr_number": "{}"}}

BAD: dict[str, dict[tuple[str, str], dict[str, Any]]] = {
    "practitioner": {
        (REGEX, "ecw_id"): {"ecw_id": "not an id"},
        (NOT_NULL, "last_name"): {"last_name": None},
        (REGEX, "npi"): {"npi": "123"},
        (UNIQUE, "npi"): {"npi": "1000000000"},  # the NPI of the first good row
        (REGEX, "state"): {"state": "New York"},
        (REGEX, "postal_code"): {"postal_code": "1218"},
        (LENGTH, "phone"): {"phone": "5550100"},
        (REGEX, "email"): {"email": "ana at example"},
    },
    "location": {
        (REGEX, "ecw_id"): {"ecw_id": "not an id"},
        (NOT_NULL, "name"): {"name": None},
        (UNIQUE, "name"): {"name": "House 0"},
        (REGEX, "npi"): {"npi": "123"},
        (REGEX, "state"): {"state": "New York"},
        (REGEX, "postal_code"): {"postal_code": "1218"},
        (LENGTH, "phone"): {"phone": "5550100"},
        (LENGTH, "fax"): {"fax": "5550100"},
        (BETWEEN, "latitude"): {"latitude": 90.5},
        (BETWEEN, "longitude"): {"longitude": -181},
    },
    "patient": {
        (REGEX, "ecw_id"): {"ecw_id": "not an id"},
        (NOT_NULL, "last_name"): {"last_name": None, "first_name": None},
        (BETWEEN, "birth_date"): {"birth_date": "2126-05-01"},
        (NOT_NULL, "birth_date"): {"birth_date": None},
        (BETWEEN, "deceased_on"): {"deceased_on": "2126-05-01T10:00:00+00:00"},
        (NOT_BEFORE, "deceased_on"): {"deceased_on": "1980-04-30T10:00:00+00:00"},
        (NOT_NULL, "first_name"): {"first_name": None},
        (NOT_NULL, "gender"): {"gender": None},
        (NOT_NULL, "phone"): {"phone": None},
        (LINKED, "practitioner"): {"practitioner": "Practitioner/nobody"},
        (NOT_NULL, "mr_number"): {"mr_number": None},
        (UNIQUE, "mr_number"): {"mr_number": "0"},
        (REGEX, "state"): {"state": "New York"},
        (REGEX, "postal_code"): {"postal_code": "1218"},
        (LENGTH, "phone"): {"phone": "5550100"},
        (LENGTH, "mobile_phone"): {"mobile_phone": "5550100"},
        (LENGTH, "work_phone"): {"work_phone": "5550100"},
        (REGEX, "email"): {"email": "amy at example"},
    },
    "insurance": {
        (REGEX, "ecw_id"): {"ecw_id": "not an id"},
        (REGEX, "patient"): {"patient": "Group/known"},
        (LINKED, "patient"): {"patient": "Patient/nobody"},
        (IN, "status"): {"status": "lapsed"},
        (NOT_NULL, "payer"): {"payer": None},
        (NOT_NULL, "member_id"): {"member_id": None},
        (BETWEEN, "policy_order"): {"policy_order": 0},
        (BETWEEN, "start_date"): {"start_date": "1899-12-31"},
        (BETWEEN, "end_date"): {"end_date": "1899-12-31"},
        (NOT_BEFORE, "end_date"): {"end_date": "2025-12-31"},
    },
    "encounter": {
        (REGEX, "ecw_id"): {"ecw_id": "not an id"},
        (REGEX, "patient"): {"patient": "Group/known"},
        (BETWEEN, "start_time"): {"start_time": "1899-12-30T05:00:00+00:00"},
        (NOT_NULL, "start_time"): {"start_time": None},
        (NOT_NULL, "practitioner"): {"practitioner": None, "location": None},
        (NOT_NULL, "status"): {"status": None},
        (NOT_BEFORE, "end_time"): {"end_time": "2026-11-23T14:59:00+00:00"},
        (LINKED, "patient"): {"patient": "Patient/nobody"},
        (LINKED, "practitioner"): {"practitioner": "Practitioner/nobody"},
        (LINKED, "location"): {"location": "Location/nobody"},
    },
}


def good_row(resource: str, number: int) -> dict[str, Any]:
    """Return a row that breaks no rule."""
    unique_values = {column: value.format(number) for column, value in UNIQUE_VALUES.get(resource, {}).items()}
    return {"ecw_id": f"good.{number}", **GOOD[resource], **unique_values}


def bad_row(resource: str, rule: tuple[str, str], number: int) -> dict[str, Any]:
    """Return the row that breaks this rule."""
    return {**good_row(resource, 1000 + number), "ecw_id": f"bad.{number}", **BAD[resource][rule]}
