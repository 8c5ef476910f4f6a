"""A name sweep finds patients whose names begin with any character, and does not claim to be complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.pull.extract.strategies import STRATEGIES
from ecw.settings.name_prefixes import COMMON, OTHERS, of_record, of_texts
from ecw.settings.pull import Options
from tests.pull.extract.test_strategies import FixedIds, extract_context

pytestmark = pytest.mark.large_practice


def named(ecw_id: str, family: str, *given: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": ecw_id,
        "identifier": [{"use": "usual", "system": "urn:oid:2.16.840.1.113883.4.391.326070", "value": ecw_id}],
        "name": [{"use": "usual", "family": family, "given": list(given)}],
        "gender": "female",
        "birthDate": "1980-01-02",
    }


def test_names_that_begin_with_other_characters_are_found_and_the_result_is_not_called_proven(
    sandbox: Any, pull: Any
) -> None:
    patients = {"p1": ("Łukasik", "Łucja"), "p2": ("李", "李娜"), "p3": ("2Pac", "2"), "p4": ("'Abd", "'Ali")}
    sandbox.put(named("known", "Kowalska", "'Ewa"))  # a found name adds its first character to the searched ones
    for ecw_id, name in patients.items():
        sandbox.put(named(ecw_id, *name))
    pull("patient")
    loaded = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM patient")}
    assert patients.keys() <= loaded
    [row] = pull.rows("SELECT completeness FROM ecw_run WHERE resource = 'patient'")
    assert "not proven" in row["completeness"]
    assert "in turn" in row["completeness"]


def test_the_first_characters_of_names_in_the_crm_are_searched(sandbox: Any, pull: Any) -> None:
    rare = "ᏣᎳ"
    assert not set(of_texts([rare])) & {*COMMON, *OTHERS}
    with pull.crm.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO patient (last_name) VALUES ('{rare}')")  # noqa: S608
    sandbox.put(named("p1", rare, rare))
    pull("patient")
    assert pull.rows("SELECT ecw_id FROM patient WHERE ecw_id = 'p1'")


def test_every_other_character_is_searched_within_a_cycle() -> None:
    searched, end, options = set[str](), datetime(2026, 3, 1, tzinfo=UTC), Options()
    for number in range(options.full_cycle_hours * 60 // options.every_minutes):
        context = extract_context("Patient", FixedIds())
        context.run["window_end"] = (end + number * timedelta(minutes=options.every_minutes)).isoformat()
        rounds = STRATEGIES["name_sweep"].rounds
        assert rounds is not None
        for requests in rounds(context):
            searched |= {str(request.params.get("name")) for request in requests}
    assert set(OTHERS) <= searched


def test_the_prefixes_of_a_record_are_the_first_letters_of_its_names() -> None:
    record = {"name": [{"family": "Øst", "text": " Åse Øst", "given": ["Åse", None, ""]}, {"family": None}, "x"]}
    assert set(of_record(record)) == {"ø", "å"}
    assert set(of_record({"name": "Main Street"})) == {"m"}
    assert set(of_record({})) == set()
