"""A sweep by names finds whoever has one, in whatever script, and claims no more than it can know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.pull.extract.strategies import STRATEGIES
from ecw.settings.name_prefixes import COMMON, OTHERS, of_record, of_texts
from ecw.settings.pull import Options
from tests.pull.extract.test_strategies import Roll, ask

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


def test_names_that_begin_with_no_letter_of_a_to_z_arrive_and_the_summary_claims_no_proof(
    sandbox: Any, pull: Any
) -> None:
    people = {"p1": ("Łukasik", "Łucja"), "p2": ("李", "李娜"), "p3": ("2Pac", "2"), "p4": ("'Abd", "'Ali")}
    sandbox.put(named("known", "Kowalska", "'Ewa"))  # one whose name begins so makes the others found
    for ecw_id, name in people.items():
        sandbox.put(named(ecw_id, *name))
    pull("patient")
    found = {row["ecw_id"] for row in pull.rows("SELECT ecw_id FROM patient")}
    assert people.keys() <= found
    [row] = pull.rows("SELECT completeness FROM ecw_run WHERE resource = 'patient'")
    assert "not proven" in row["completeness"]
    assert "in turn" in row["completeness"]


def test_what_the_crm_knows_is_asked_for(sandbox: Any, pull: Any) -> None:
    rare = "ᏣᎳ"
    assert not set(of_texts([rare])) & {*COMMON, *OTHERS}
    with pull.crm.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO patient (last_name) VALUES ('{rare}')")  # noqa: S608
    sandbox.put(named("p1", rare, rare))
    pull("patient")
    assert pull.rows("SELECT ecw_id FROM patient WHERE ecw_id = 'p1'")


def test_every_other_character_has_its_turn_within_a_cycle() -> None:
    asked, end, options = set[str](), datetime(2026, 3, 1, tzinfo=UTC), Options()
    for number in range(options.full_cycle_hours * 60 // options.every_minutes):
        this = ask("Patient", Roll())
        this.run["window_end"] = (end + number * timedelta(minutes=options.every_minutes)).isoformat()
        rounds = STRATEGIES["name_sweep"].rounds
        assert rounds is not None
        for units in rounds(this):
            asked |= {str(unit.params.get("name")) for unit in units}
    assert set(OTHERS) <= asked


def test_where_names_begin() -> None:
    record = {"name": [{"family": "Øst", "text": " Åse Øst", "given": ["Åse", None, ""]}, {"family": None}, "x"]}
    assert set(of_record(record)) == {"ø", "å"}
    assert set(of_record({"name": "Main Street"})) == {"m"}
    assert set(of_record({})) == set()
