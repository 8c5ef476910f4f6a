"""Values of staged rows are converted to the Python types of the CRM's columns, or refused without being quoted."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import types

from ecw.crm.db.converters import Unfit, converter, same


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (types.Boolean(), True, True),
        (types.Integer(), 7, 7),
        (types.BigInteger(), 2**40, 2**40),
        (types.SmallInteger(), True, 1),
        (types.Numeric(11, 8), -71.0589, Decimal("-71.0589")),
        (types.Numeric(), 5, Decimal(5)),
        (types.Float(), 5, 5.0),
        (types.Date(), "2001-05-27", date(2001, 5, 27)),
        (types.DateTime(timezone=True), "2026-03-08T03:00:00-04:00", datetime(2026, 3, 8, 7, tzinfo=UTC)),
        (types.DateTime(), "2026-03-08T03:00:00-04:00", datetime(2026, 3, 8, 7)),  # noqa: DTZ001 - a column without zone
        (types.String(5), "héllo", "héllo"),
        (types.Text(), "", ""),
        (types.Enum("m", "f"), "m", "m"),
    ],
)
def test_a_value_that_fits_is_converted_to_the_columns_python_type(
    kind: types.TypeEngine[Any], value: Any, expected: Any
) -> None:
    fit = converter(kind)
    assert fit is not None
    assert fit(value) == expected
    assert type(fit(value)) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (types.Boolean(), "true", "true or false"),
        (types.Integer(), 2**31, "too large"),
        (types.Integer(), 1.5, "whole number"),
        (types.SmallInteger(), 40_000, "too large"),
        (types.Numeric(11, 8), 1234.5, "too large"),
        (types.Numeric(), "NaN", "not a number"),
        (types.Numeric(), "secret", "not a number"),
        (types.Float(), float("inf"), "not a number"),
        (types.Date(), "2001-05", "not a full date"),
        (types.Date(), "20010527", "not a full date"),
        (types.Date(), "2001-02-30", "not a full date"),
        (types.DateTime(timezone=True), "2001-05-27", "without a zone"),
        (types.DateTime(timezone=True), "secret", "not a date"),
        (types.DateTime(timezone=True), "0001-01-01T00:00:00+14:00", "calendar"),
        (types.String(5), "secret", "longer than 5"),
        (types.Text(), "nul\x00", "cannot store"),
        (types.Text(), "\ud800", "cannot store"),
        (types.Text(), 5, "not text"),
        (types.Enum("m", "f"), "secret", "one of the column's allowed values"),
        (types.Uuid(), "secret", "not a UUID"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_not_quoted(
    kind: types.TypeEngine[Any], value: Any, reason: str
) -> None:
    fit = converter(kind)
    assert fit is not None
    with pytest.raises(Unfit, match=reason) as caught:
        fit(value)
    assert "secret" not in str(caught.value)


def test_a_type_that_is_not_supported_has_no_converter() -> None:
    assert converter(types.JSON()) is None


@pytest.mark.parametrize("value", [True, [], "x", "inf"])
def test_a_column_of_floats_takes_finite_numbers_only(value: Any) -> None:
    fit = converter(types.Float())
    assert fit is not None
    with pytest.raises(Unfit, match="is not a number"):
        fit(value)


@pytest.mark.parametrize(
    ("stored", "fitted", "equal"),
    [
        (42.123455, 42.1234551, True),
        (42.1, 42.2, False),
        (datetime(2026, 3, 8, 7), datetime(2026, 3, 8, 7, tzinfo=UTC), True),  # noqa: DTZ001 - a column without zone
        ("a", "A", False),
    ],
)
def test_a_stored_value_is_compared_as_the_database_keeps_it(stored: Any, fitted: Any, equal: bool) -> None:
    assert same(stored, fitted) is equal
