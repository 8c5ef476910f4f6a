"""The transaction Bundle in which eCW accepts a patient."""

from __future__ import annotations

import pytest

from ecw.push.rules.bundle import create, update

PATIENT = {"resourceType": "Patient", "id": "a.1"}


def test_a_create_is_one_post_of_the_patient() -> None:
    entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    assert create(PATIENT) == {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


@pytest.mark.parametrize(("id_in_url", "url"), [(False, "Patient"), (True, "Patient/a.1")])
def test_an_update_is_one_put_with_the_id_in_the_url_if_the_practice_requires_it(id_in_url: bool, url: str) -> None:
    [entry] = update(PATIENT, id_in_url=id_in_url)["entry"]
    assert entry == {"resource": PATIENT, "request": {"method": "PUT", "url": url}}


def test_an_update_of_a_known_version_has_an_if_match() -> None:
    [entry] = update(PATIENT, version="3")["entry"]
    assert entry["request"]["ifMatch"] == 'W/"3"'
