"""The rows that the CRM has, and the rows that it should have, to compare them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, select

from ecw.crm.db.business_table import find
from ecw.crm.db.converters import plain
from ecw.crm.db.engine import reading
from ecw.mapping.definition.files import load_mapping
from ecw.mapping.transform.to_row import Mapper
from ecw.pull.mapped_columns import mapped_of
from ecw.resources import RESOURCES
from tests.fixtures.sandbox import RunningSandbox

Row = dict[str, Any]  # the mapped columns
Rows = dict[str, Row]  # by eCW id


def rows_of(crm: Engine, name: str) -> Rows:
    """Return the rows that the CRM has of a resource."""
    mapped = mapped_of(load_mapping(name))
    with reading(crm) as connection:
        target = find(connection, mapped)
        records = connection.execute(select(*target.columns.values())).mappings()
        rows = [{name: plain(row[name]) for name in target.columns} for row in records]
    assert len({row["ecw_id"] for row in rows}) == len(rows), f"{name}: a record is there twice"
    return {row["ecw_id"]: row for row in rows}


def expected(sandbox: RunningSandbox, name: str) -> Rows:
    """Return the rows that an undisturbed pull makes of the practice's records of a resource."""
    mapper = Mapper(load_mapping(name))
    return {record["id"]: mapper.row(record).row for record in sandbox.records(RESOURCES[name].fhir_type)}
