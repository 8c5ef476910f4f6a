"""What keeps the CRM's table from holding the mapping's rows is reported before a run, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from ecw.crm.db.engine import engine_from_url
from ecw.errors import CrmSchemaError
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.definition.model import Mapping
from ecw.mapping.validation.table import require_tables, table_problems

pytestmark = pytest.mark.both_databases

COLUMNS = """\
      - {name: dob, label: DOB, path: birthDate, type: date}
      - {name: active, label: Active, path: active, type: boolean}
      - {name: rank, label: Rank, path: telecom.rank, type: integer}
      - {name: lat, label: Lat, path: position.latitude, type: decimal}
      - {name: died, label: Died, path: deceased.ofType(dateTime), type: datetime}
      - {name: sex, label: Sex, path: gender, type: code, crosswalk: sex}
      - {name: doctor, label: Doctor, path: generalPractitioner.reference, type: reference}
"""
GOOD = {
    "ecw_id": "VARCHAR(64)",
    "dob": "DATE",
    "active": "BOOLEAN",
    "rank": "INTEGER",
    "lat": "NUMERIC(11, 8)",
    "died": "TIMESTAMP",
    "sex": "VARCHAR(7)",
    "doctor": "TEXT",
}


@pytest.fixture
def connection(empty_crm_url: str) -> Iterator[Connection]:
    engine = engine_from_url(empty_crm_url)
    with engine.connect() as found:
        yield found
    engine.dispose()


@pytest.fixture
def mapping(mapping_of: Callable[..., Mapping]) -> Mapping:
    return mapping_of(COLUMNS, policies="sex: {unmapped: default, default: Unknown}", sex="male,Male,,\n")


def create(connection: Connection, **changes: str | None) -> None:
    columns = {**GOOD, **changes}
    body = ", ".join(f"{name} {sql}" for name, sql in columns.items() if sql is not None)
    connection.execute(text(f"CREATE TABLE mine (id INTEGER PRIMARY KEY, {body})"))


def test_a_table_that_fits(connection: Connection, mapping: Mapping) -> None:
    create(connection)
    assert table_problems(connection, mapping) == []
    require_tables(connection, [mapping])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"dob": None, "dobb": "DATE"},
            "column 'dob': the CRM's table 'mine' has no such column; did you mean 'dobb'?",
        ),
        ({"dob": "INTEGER"}, "column 'dob': a value of type date does not fit into the table's INTEGER"),
        ({"dob": "TIMESTAMP"}, "column 'dob': a value of type date does not fit into the table's TIMESTAMP"),
        ({"active": "VARCHAR(5)"}, "column 'active': a value of type boolean does not fit into the table's VARCHAR(5)"),
        ({"rank": "TEXT"}, "column 'rank': a value of type integer does not fit into the table's TEXT"),
        ({"lat": "INTEGER"}, "column 'lat': a value of type decimal does not fit into the table's INTEGER"),
        ({"died": "DATE"}, "column 'died': a value of type datetime does not fit into the table's DATE"),
        ({"sex": "VARCHAR(6)"}, "column 'sex': values of 7 characters come, and the table's VARCHAR(6) holds 6"),
        (
            {"ecw_id": "VARCHAR(43)"},
            "column 'ecw_id': values of 64 characters come, and the table's VARCHAR(43) holds 43",
        ),
        ({"doctor": "VARCHAR(64)"}, "column 'doctor': values of 77 characters come"),
        ({"dob": "DATE NOT NULL"}, "column 'dob': the table does not take an empty value"),
        ({"dob": "VARCHAR(10)", "died": "VARCHAR(32)"}, None),
        ({"ecw_id": "VARCHAR(64) NOT NULL"}, None),
    ],
)
def test_a_table_that_does_not(
    connection: Connection, mapping: Mapping, changes: dict[str, str | None], problem: str | None
) -> None:
    create(connection, **changes)
    told = table_problems(connection, mapping)
    assert len(told) == (problem is not None), told
    if problem:
        assert problem in told[0]
        assert told[0].startswith(str(mapping.file))


def test_no_table_at_all(connection: Connection, mapping: Mapping) -> None:
    with pytest.raises(CrmSchemaError, match="the CRM has no table 'mine'"):
        require_tables(connection, [mapping])


@pytest.mark.parametrize("name", ["practitioner", "location"])
def test_the_project_s_own_tables_fit(crm_engine: Engine, name: str) -> None:
    with crm_engine.connect() as connection:
        assert table_problems(connection, load_mapping(name)) == []
