"""A crosswalk's codes and values are compared with the lists that eCW and the CRM have now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from ecw.crm.db.engine import engine_from_url
from ecw.mapping.definition.crosswalks import Crosswalk
from ecw.mapping.validation.crosswalk_names import check_lists

pytestmark = pytest.mark.both_databases

PROGRAMS = Crosswalk(
    "treatment_program",
    (
        ("Location/a.1", "Detox", "", ""),
        ("Location/b.2", "Outpatient", "", ""),
        ("Location/c.3", "Detox", "", ""),
    ),
    ecw_list="location.ecw_id",
    crm_list="treatment_program.name",
)


@pytest.fixture
def connection(empty_crm_url: str) -> Iterator[Connection]:
    engine = engine_from_url(empty_crm_url)
    with engine.connect() as opened:
        opened.execute(text("CREATE TABLE location (ecw_id VARCHAR(64), active BOOLEAN)"))
        opened.execute(text("INSERT INTO location VALUES ('a.1', true), ('c.3', NULL)"))
        yield opened
    engine.dispose()


def test_a_code_or_value_that_was_deleted_or_deactivated_is_a_problem(connection: Connection) -> None:
    connection.execute(text("UPDATE location SET active = false WHERE ecw_id = 'a.1'"))
    connection.execute(text("CREATE TABLE treatment_program (name TEXT)"))
    connection.execute(text("INSERT INTO treatment_program VALUES ('Outpatient')"))
    found = check_lists(connection, [PROGRAMS])
    assert [problem.partition(": ")[2] for problem in found.problems] == [
        "'Location/a.1' is no longer active in eCW (location.ecw_id)",
        "'Location/b.2' no longer exists in eCW (location.ecw_id)",
        "'Detox' no longer exists in the CRM (treatment_program.name)",
    ]
    assert found.problems[1].startswith("None:3: ")
    assert found.unverified == []


def test_the_default_of_the_policy_is_compared_too(connection: Connection) -> None:
    connection.execute(text("INSERT INTO location VALUES ('b.2', true)"))
    connection.execute(text("CREATE TABLE treatment_program (name TEXT, active BOOLEAN)"))
    connection.execute(text("INSERT INTO treatment_program VALUES ('Detox', true), ('Detox', false)"))
    connection.execute(text("INSERT INTO treatment_program VALUES ('Outpatient', true)"))
    found = check_lists(connection, [replace(PROGRAMS, unmapped="default", default="Unassigned")])
    assert found.problems == [
        "None: the policy's default: 'Unassigned' no longer exists in the CRM (treatment_program.name)"
    ]


def test_a_missing_list_is_unverified_and_not_a_problem(connection: Connection) -> None:
    connection.execute(text("INSERT INTO location VALUES ('b.2', true)"))
    found = check_lists(connection, [PROGRAMS, Crosswalk("gender", (("male", "Male", "", ""),))])
    assert found.problems == []
    assert found.unverified == [
        "crosswalk treatment_program: the CRM's database has no treatment_program.name to compare it with"
    ]


@pytest.mark.parametrize(
    ("unmapped", "policy_text"),
    [
        ({"unmapped": "keep"}, "the others are loaded as they are"),
        ({"unmapped": "default", "default": "Detox"}, "the others become 'Detox'"),
        ({"unmapped": "reject"}, "records with another one are rejected"),
    ],
)
def test_the_coverage_counts_the_entries_of_both_lists_that_the_crosswalk_has(
    connection: Connection, unmapped: dict[str, str], policy_text: str
) -> None:
    connection.execute(text("INSERT INTO location VALUES ('b.2', true), ('d.4', true), ('gone', false)"))
    connection.execute(text("CREATE TABLE treatment_program (name TEXT)"))
    connection.execute(text("INSERT INTO treatment_program VALUES ('Detox'), ('Outpatient'), ('Aftercare')"))

    found = check_lists(connection, [replace(PROGRAMS, **unmapped)])

    assert found.coverage == [
        "crosswalk treatment_program has 3 of eCW's 4 (location.ecw_id) and 2 of the CRM's 3 (treatment_program.name); "
        + policy_text
    ]


def test_a_crm_without_both_lists_is_unverified_and_not_a_problem(connection: Connection) -> None:
    found = check_lists(connection, [replace(PROGRAMS, ecw_list="nothing.id", crm_list="facility.name")])

    assert (found.problems, found.coverage, len(found.unverified)) == ([], [], 2)
