"""Who is in eCW already: found for certain, held for a person, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from ecw.errors import AnswerIncomplete, ConfigurationWrong
from ecw.push.match import Certain, Held, Ladder, Sought

OID = "urn:oid:2.16.840.1.113883.4.391.326070"
SOUGHT = Sought("Kowalczyk", "Ewa", "1980-01-02", "female", ("ACC-1",), ("9135552003",))


@pytest.fixture
def ladder(sandbox: Any, connect: Any) -> Callable[..., Ladder]:
    def make(linked: Iterable[str] = ()) -> Ladder:
        return Ladder(connect(sandbox), lambda ids: set(ids) & set(linked))

    return make


@pytest.fixture
def there(sandbox: Any) -> Callable[..., None]:
    """Put a patient into eCW: SOUGHT, less what is said differently."""

    def put(
        ecw_id: str = "e.1",
        family: str = "Kowalczyk",
        given: str = "Ewa",
        born: str = "1980-01-02",
        gender: str = "female",
        account: str = "777",
        phone: str = "913-555-9999",
        **more: Any,
    ) -> None:
        sandbox.put(
            {
                "resourceType": "Patient",
                "id": ecw_id,
                "identifier": [
                    {"use": "usual", "system": OID, "value": ecw_id},
                    {"use": "secondary", "system": OID, "value": account},
                ],
                "name": [{"use": "usual", "family": family, "given": [given]}],
                "birthDate": born,
                "gender": gender,
                "telecom": [{"system": "phone", "use": "home", "value": phone}],
                **more,
            }
        )

    return put


def test_nobody(ladder: Any) -> None:
    assert ladder().find(SOUGHT) is None


@pytest.mark.parametrize(
    ("held", "rung"),
    [
        ({"account": "ACC-1"}, "identifier"),
        ({"account": "ACC-1", "family": "Nowak"}, "identifier"),
        ({}, "family, given, birth date"),
        ({"family": "KOWALCZYK", "given": "Éwa"}, "family, given, birth date"),
        ({"gender": "unknown"}, "family, given, birth date"),
        ({"active": False}, "family, given, birth date"),
    ],
)
def test_a_certain_match(ladder: Any, there: Any, held: dict[str, Any], rung: str) -> None:
    there(**held)
    assert ladder().find(SOUGHT) == Certain("e.1", rung)


@pytest.mark.parametrize(
    ("held", "rung"),
    [
        ({"account": "ACC-1", "born": "1981-01-02"}, "identifier"),
        ({"account": "ACC-1", "family": "Other", "given": "Person"}, "identifier"),
        ({"gender": "male"}, "family, given, birth date"),
        ({"given": "Eva"}, "name, birth date"),
        ({"family": "Kowalczik"}, "name, birth date"),
        ({"given": "Ewaldina"}, "name, birth date"),
        ({"family": "Ewa", "given": "Kowalczyk"}, "name, birth date"),
        ({"family": "Nowak", "phone": "(913) 555-2003"}, "phone, birth date"),
    ],
)
def test_a_near_match_is_held_for_a_person(ladder: Any, there: Any, held: dict[str, Any], rung: str) -> None:
    there(**held)
    found = ladder().find(SOUGHT)
    assert isinstance(found, Held)
    assert (found.candidates, found.rung) == (("e.1",), rung)


def test_another_account_number_speaks_against_the_same_name_and_birth_date(ladder: Any, there: Any) -> None:
    there()
    known = replace(SOUGHT, accounts=frozenset({"ACC-1"}))
    assert ladder().find(known) == Held(("e.1",), "family, given, birth date", "the account number differs")
    there(identifier=[{"use": "usual", "system": OID, "value": "e.1"}])
    assert ladder().find(known) == Certain("e.1", "family, given, birth date")


@pytest.mark.parametrize(
    "held",
    [
        {"given": "Bartosz", "gender": "male", "phone": "9135552003"},  # a twin
        {"born": "1980-02-01"},
        {"family": "Kowal", "given": "Zofia"},
    ],
)
def test_another_person_is_no_match(ladder: Any, there: Any, held: dict[str, Any]) -> None:
    there(**held)
    assert ladder().find(SOUGHT) is None


def test_several_are_held(ladder: Any, there: Any) -> None:
    there("e.1")
    there("e.2", given="EWA")
    found = ladder().find(SOUGHT)
    assert isinstance(found, Held)
    assert found.candidates == ("e.1", "e.2")


def test_one_that_was_merged_away_does_not_count(ladder: Any, there: Any) -> None:
    there("e.1")
    there("e.2", active=False, link=[{"other": {"reference": "Patient/e.1"}, "type": "replaced-by"}])
    assert ladder().find(SOUGHT) == Certain("e.1", "family, given, birth date")


def test_a_patient_of_another_crm_record_is_held(ladder: Any, there: Any) -> None:
    there()
    found = ladder(linked=["e.1"]).find(SOUGHT)
    assert isinstance(found, Held)
    assert "linked" in found.why


@pytest.mark.large_practice
def test_a_filter_that_the_server_ignores_is_an_error(sandbox: Any, ladder: Any) -> None:
    sandbox.fault("ignore_filter", interaction="search", value="birthdate")
    sought = Sought("A", "A", "1801-01-01", None, (), ())  # many names begin so
    with pytest.raises(AnswerIncomplete, match="birthdate"):
        ladder().find(sought)
    sandbox.fault("ignore_filter", interaction="search", value="identifier")
    with pytest.raises(AnswerIncomplete, match="identifier"):
        ladder().find(SOUGHT)


def test_a_search_that_the_practice_does_not_have_is_left_out(sandbox: Any, ladder: Any, there: Any) -> None:
    there()
    sandbox.set(undeclared="Patient.identifier,Patient.phone")
    assert ladder().find(SOUGHT) == Certain("e.1", "family, given, birth date")


def test_without_a_search_by_birth_date_nobody_may_be_created(sandbox: Any, ladder: Any) -> None:
    sandbox.set(undeclared="Patient.birthdate")
    with pytest.raises(ConfigurationWrong, match="doubled"):
        ladder()


def test_what_is_sought_comes_from_the_composed_patient(patient: dict[str, Any]) -> None:
    patient["telecom"] = [{"system": "phone", "value": "1"}, {"system": "email", "value": "x"}]
    sought = Sought.of(patient, "MR-7", None, "ACC-1")
    assert sought == Sought("Kowalczyk", "Ewa", "1980-01-02", "female", ("ACC-1", "MR-7"), ("1",))
