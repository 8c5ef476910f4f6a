"""`ecw mapping diff` counts the rows and columns that a changed mapping would change, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from ecw.mapping.definition.model import Mapping
from ecw.mapping.tools.diff import CHUNK, Difference, difference, same
from ecw.mapping.transform.to_row import Mapper

COLUMNS = """\
      - {name: dob, label: DOB, path: birthDate, type: date}
      - {name: sex, label: Sex, path: gender, type: code}
      - {name: first, label: First, path: language, type: code, update: once}
"""


def patient(ecw_id: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": ecw_id, **elements}


def compare(mapping: Mapping, resources: list[dict[str, Any]], rows: dict[str, dict[str, Any]]) -> Difference:
    return difference(Mapper(mapping), resources, lambda ids: {key: rows[key] for key in ids if key in rows})


def test_the_difference_holds_counts_and_ids_and_no_values(mapping_of: Callable[..., Mapping]) -> None:
    found = compare(
        mapping_of(COLUMNS),
        [
            patient("same", birthDate="2001-05-27", gender="male"),
            patient("changed", birthDate="2001-05-27", gender="female"),
            patient("new", birthDate="2001-05-27"),
            patient("rejected", birthDate="2001-13-01"),
        ],
        {
            "same": {"ecw_id": "same", "dob": date(2001, 5, 27), "sex": "male", "first": None},
            "changed": {"ecw_id": "changed", "dob": date(2001, 5, 28), "sex": "male", "first": None},
            "rejected": {"ecw_id": "rejected", "dob": None, "sex": None, "first": None},
        },
    )
    assert (found.records, found.same, found.changed, found.not_loaded, found.rejected) == (4, 1, 1, 1, 1)
    assert found.columns == {"dob": 1, "sex": 1}
    assert found.rules == {"dob: date": 1}
    assert found.examples == ["changed"]


def test_a_column_that_is_updated_once_differs_only_if_it_is_empty(mapping_of: Callable[..., Mapping]) -> None:
    loaded = {"ecw_id": "a", "dob": None, "sex": None, "first": "en"}
    assert compare(mapping_of(COLUMNS), [patient("a", language="es")], {"a": loaded}).changed == 0
    loaded["first"] = None
    assert compare(mapping_of(COLUMNS), [patient("a", language="es")], {"a": loaded}).columns == {"first": 1}


def test_a_column_that_the_table_lacks_is_missing_and_not_changed(mapping_of: Callable[..., Mapping]) -> None:
    found = compare(mapping_of(COLUMNS), [patient("a")], {"a": {"ecw_id": "a", "dob": None, "first": None}})
    assert (found.missing, found.changed) == (["sex"], 0)


def test_rows_are_read_in_chunks(mapping_of: Callable[..., Mapping]) -> None:
    chunk_sizes: list[int] = []

    def rows(ids: list[str]) -> dict[str, dict[str, Any]]:
        chunk_sizes.append(len(ids))
        return {}

    difference(Mapper(mapping_of("")), (patient(str(at)) for at in range(CHUNK + 1)), rows)
    assert chunk_sizes == [CHUNK, 1]


@pytest.mark.parametrize(
    ("value", "stored", "equal"),
    [
        ("2015-11-01T22:00:14+00:00", datetime(2015, 11, 1, 22, 0, 14, tzinfo=UTC), True),
        ("2015-11-01T22:00:14+00:00", datetime(2015, 11, 1, 22, 0, 14), True),  # noqa: DTZ001  # as SQLite gives it
        ("2015-11-01T22:00:15+00:00", datetime(2015, 11, 1, 22, 0, 14, tzinfo=UTC), False),
        (None, datetime(2015, 11, 1, tzinfo=UTC), False),
        ("2001-05-27", date(2001, 5, 27), True),
        (38.90440039220002, Decimal("38.90440039"), True),
        (38.91, Decimal("38.90"), False),
        (3, Decimal("3.00"), True),
        (True, True, True),
        (None, None, True),
        ("a", None, False),
    ],
)
def test_a_mapped_value_equals_the_stored_value_in_its_own_type(value: Any, stored: Any, equal: bool) -> None:
    assert same(value, stored) is equal
