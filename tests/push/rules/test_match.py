"""Whether eCW has a patient already: a certain match, a near match that is held, or no match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ecw.errors import ConfigurationError, InvalidResponse
from ecw.push.rules.match import Match, MatchQuery, NeedsReview, PatientMatcher

OID = "urn:oid:2.16.840.1.113883.4.391.326070"


def query(*, accounts: tuple[str, ...] = (), **changes: Any) -> MatchQuery:
    """Return the query for one patient of the CRM, with these changes."""
    patient = {
        "name": [{"use": "usual", "family": "Kowalczyk", "given": ["Ewa"]}],
        "birthDate": "1980-01-02",
        "gender": "female",
        "identifier": [{"use": "usual", "system": OID, "value": "ACC-1"}],
        "telecom": [
            {"system": "phone", "use": "home", "value": "9135552003"},
            {"system": "email", "value": "ewa@kowalczyk.pl"},
        ],
        "address": [{"line": ["12 Main Street"], "city": "Topeka", "postalCode": "66603"}],
    }
    return MatchQuery.of(patient | changes, accounts, accounts)


QUERY = query()


@pytest.fixture
def matcher(sandbox: Any, connect: Any) -> Callable[..., PatientMatcher]:
    def make(linked: Iterable[str] = ()) -> PatientMatcher:
        return PatientMatcher(connect(sandbox), lambda ids: set(ids) & set(linked))

    return make


@pytest.fixture
def put_into_ecw(sandbox: Any) -> Callable[..., None]:
    """Return a function that puts a patient like that of QUERY into eCW, with these changes."""

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


def test_no_patient_like_it_gives_no_match(matcher: Any) -> None:
    assert matcher().find(QUERY) is None


PHONE = {"phone": "(913) 555-2003"}


@pytest.mark.parametrize(
    ("in_ecw", "match_rule"),
    [
        ({"account": "ACC-1"}, "identifier"),
        ({"account": "ACC-1", "family": "Nowak"}, "identifier"),
        (PHONE, "family, given, birth date"),
        ({"telecom": [{"system": "email", "value": " EWA@Kowalczyk.pl"}]}, "family, given, birth date"),
        ({"address": [{"line": ["12 Main St."], "postalCode": "66603-1234"}]}, "family, given, birth date"),
        (PHONE | {"family": "KOWALCZYK", "given": "Éwa"}, "family, given, birth date"),
        (PHONE | {"gender": "unknown"}, "family, given, birth date"),
        (PHONE | {"active": False}, "family, given, birth date"),
    ],
)
def test_a_certain_match_needs_more_than_name_and_birth_date(
    matcher: Any, put_into_ecw: Any, in_ecw: dict[str, Any], match_rule: str
) -> None:
    put_into_ecw(**in_ecw)
    assert matcher().find(QUERY) == Match("e.1", match_rule)


@pytest.mark.parametrize(
    ("in_ecw", "match_rule", "why"),
    [
        ({}, "family, given, birth date", "nothing beyond the name and the birth date agrees"),
        ({"account": "ACC-1", "born": "1981-01-02"}, "identifier", "the account number is the same, the birth date"),
        ({"account": "ACC-1", "family": "Other", "given": "Person"}, "identifier", "the name is not"),
        ({"account": "ACC-1", "given": "Zofia"}, "identifier", "the name is not"),  # a twin on the family's account
        (PHONE | {"gender": "male"}, "family, given, birth date", "the gender differs"),
        (PHONE | {"deceasedBoolean": True}, "family, given, birth date", "the mark of death differs"),
        ({"given": "Eva"}, "name, birth date", "nearly"),
        ({"family": "Kowalczik"}, "name, birth date", "nearly"),
        ({"given": "Ewaldina"}, "name, birth date", "nearly"),
        ({"family": "Ewa", "given": "Kowalczyk"}, "name, birth date", "nearly"),
        (PHONE | {"family": "Nowak"}, "name, birth date", "birth date and phone are the same"),
        (PHONE | {"given": "Zofia"}, "name, birth date", "birth date, family name and phone are the same"),
        ({"family": "Nowak-Kowalczyk"}, "name, birth date", "nearly"),
        ({"born": "1980-02-01"}, "name, birth date", "the birth date is nearly the same"),
    ],
)
def test_a_near_match_is_held_for_a_person(
    matcher: Any, put_into_ecw: Any, in_ecw: dict[str, Any], match_rule: str, why: str
) -> None:
    put_into_ecw(**in_ecw)
    found = matcher().find(QUERY)
    assert isinstance(found, NeedsReview)
    assert (found.candidates, found.match_rule) == (("e.1",), match_rule)
    assert why in found.why


def test_the_same_phone_finds_a_near_match_that_no_name_finds(matcher: Any, put_into_ecw: Any) -> None:
    put_into_ecw(family="Nowak", given="Lupita", **PHONE)
    found = matcher().find(query(name=[{"use": "usual", "family": "Ruiz", "given": ["Guadalupe"]}]))
    assert isinstance(found, NeedsReview)
    assert found.candidates == ("e.1",)


@pytest.mark.parametrize(
    ("crm_names", "ecw_names"),
    [
        (["Maria", "Jose"], ["Maria", "Fernanda"]),
        (["Maria"], ["Maria", "Fernanda"]),
        (["John", "Paul"], ["John", "P", "Adam"]),
        (["BabyGirl"], ["BabyGirl"]),
    ],
)
def test_twins_with_one_first_name_are_held(
    matcher: Any, put_into_ecw: Any, crm_names: list[str], ecw_names: list[str]
) -> None:
    put_into_ecw(name=[{"use": "usual", "family": "Kowalczyk", "given": ecw_names}], **PHONE)
    twin = query(name=[{"use": "usual", "family": "Kowalczyk", "given": crm_names}])
    found = matcher().find(twin)
    assert isinstance(found, NeedsReview) == (crm_names != ["John", "Paul"])


def test_another_account_number_makes_the_same_name_and_birth_date_a_near_match(
    matcher: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(**PHONE)
    known = query(accounts=("MR-1",))
    assert matcher().find(known) == NeedsReview(("e.1",), "family, given, birth date", "the account number differs")
    put_into_ecw(identifier=[{"use": "usual", "system": OID, "value": "e.1"}], **PHONE)
    assert matcher().find(known) == Match("e.1", "family, given, birth date")


def test_a_twin_beside_the_patient_does_not_make_the_patient_less_certain(matcher: Any, put_into_ecw: Any) -> None:
    put_into_ecw("e.1", **PHONE)
    put_into_ecw("e.2", given="Bartosz", gender="male", **PHONE)
    put_into_ecw("e.3", given="Zofia", **PHONE)
    assert matcher().find(QUERY) == Match("e.1", "family, given, birth date")
    put_into_ecw("e.4", given="Eva", **PHONE)
    found = matcher().find(QUERY)
    assert isinstance(found, NeedsReview)
    assert "e.4" in found.candidates


@pytest.mark.parametrize(
    "in_ecw",
    [
        {"given": "Bartosz", "gender": "male", "phone": "9135552003"},  # a twin
        {"born": "1985-07-21"},
        {"family": "Kowal", "given": "Zofia"},
        {"family": "Nowak"},
    ],
)
def test_another_person_is_not_a_match(matcher: Any, put_into_ecw: Any, in_ecw: dict[str, Any]) -> None:
    put_into_ecw(**in_ecw)
    assert matcher().find(QUERY) is None


def test_several_near_matches_are_all_candidates(matcher: Any, put_into_ecw: Any) -> None:
    put_into_ecw("e.1")
    put_into_ecw("e.2", given="EWA")
    found = matcher().find(QUERY)
    assert isinstance(found, NeedsReview)
    assert found.candidates == ("e.1", "e.2")


def test_a_patient_that_was_merged_into_another_is_not_a_match(matcher: Any, put_into_ecw: Any) -> None:
    put_into_ecw("e.1", **PHONE)
    put_into_ecw("e.2", active=False, link=[{"other": {"reference": "Patient/e.1"}, "type": "replaced-by"}])
    assert matcher().find(QUERY) == Match("e.1", "family, given, birth date")


def test_a_patient_that_is_linked_to_another_crm_row_is_held(matcher: Any, put_into_ecw: Any) -> None:
    put_into_ecw(**PHONE)
    found = matcher(linked=["e.1"]).find(QUERY)
    assert isinstance(found, NeedsReview)
    assert "linked" in found.why


@pytest.mark.large_practice
def test_a_filter_that_the_server_ignores_is_an_error(sandbox: Any, matcher: Any) -> None:
    sandbox.fault("ignore_filter", interaction="search", value="birthdate")
    unknown = query(name=[{"use": "usual", "family": "A", "given": ["A"]}], birthDate="1801-01-01", identifier=[])
    with pytest.raises(InvalidResponse, match="birthdate"):
        matcher().find(unknown)  # many names begin with A
    sandbox.fault("ignore_filter", interaction="search", value="identifier")
    with pytest.raises(InvalidResponse, match="identifier"):
        matcher().find(QUERY)


def test_a_search_parameter_that_the_practice_does_not_declare_is_not_used(
    sandbox: Any, matcher: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(**PHONE)
    sandbox.set(undeclared="Patient.identifier,Patient.phone")
    assert matcher().find(QUERY) == Match("e.1", "family, given, birth date")


def test_without_a_search_by_birth_date_no_patient_may_be_created(sandbox: Any, matcher: Any) -> None:
    sandbox.set(undeclared="Patient.birthdate")
    with pytest.raises(ConfigurationError, match="created twice"):
        matcher()


def test_the_query_is_made_from_the_composed_patient(patient: dict[str, Any]) -> None:
    patient["telecom"] = [{"system": "phone", "value": "1"}, {"system": "email", "value": "x"}]
    found = MatchQuery.of(patient, ["MR-7", "ACC-1"], ["MR-7"])
    assert (found.family, found.first, found.born, found.phones) == ("Kowalczyk", "Ewa", "1980-01-02", ("1",))
    assert (found.person.identifiers, found.person.accounts) == ({"ACC-1", "MR-7"}, {"MR-7"})
    assert found.beginnings() == ["K", "E"]


def test_without_a_search_by_name_short_forms_of_a_name_are_searched_too(
    sandbox: Any, matcher: Any, put_into_ecw: Any
) -> None:
    sandbox.set(undeclared="Patient.name,Patient.phone")
    put_into_ecw(given="Bill")
    found = matcher().find(query(name=[{"use": "usual", "family": "Kowalczyk", "given": ["William"]}]))
    assert isinstance(found, NeedsReview)
