"""The Bundle in which eCW takes a patient."""

from __future__ import annotations

import pytest

from ecw.push.rules.bundle import create, update

PATIENT = {"resourceType": "Patient", "id": "a.1"}


def test_create() -> None:
    entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    assert create(PATIENT) == {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


@pytest.mark.parametrize(("id_in_url", "url"), [(False, "Patient"), (True, "Patient/a.1")])
def test_update(id_in_url: bool, url: str) -> None:
    [entry] = update(PATIENT, id_in_url=id_in_url)["entry"]
    assert entry == {"resource": PATIENT, "request": {"method": "PUT", "url": url}}


def test_an_update_of_what_was_read_names_its_version() -> None:
    [entry] = update(PATIENT, version="3")["entry"]
    assert entry["request"]["ifMatch"] == 'W/"3"'
