"""Convert staged JSON values for the CRM's columns, by column type, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import types

Converter = Callable[[Any], Any]


class Unfit(ValueError):
    """A value that the column cannot hold; the message holds the reason, without the value."""


def converter(kind: types.TypeEngine[Any]) -> Converter | None:
    """Return the function that converts a value, never None, for a column of that type; None for an unsupported type.

    The function raises Unfit. Times are stored in UTC if the column has no zone.
    """
    for base, make in _MAKERS:
        if isinstance(kind, base):
            return make(kind)
    return None


def _boolean(_: Any) -> Converter:
    def fit(value: Any) -> bool:
        if not isinstance(value, bool):
            raise Unfit("is not true or false")
        return value

    return fit


def _integer(kind: Any) -> Converter:
    bits = 63 if isinstance(kind, types.BigInteger) else 15 if isinstance(kind, types.SmallInteger) else 31
    low, high = -(2**bits), 2**bits - 1

    def fit(value: Any) -> int:
        if isinstance(value, bool):  # a CRM without booleans keeps 0 and 1
            return int(value)
        if not isinstance(value, int):
            raise Unfit("is not a whole number")
        if not low <= value <= high:
            raise Unfit("is a number too large for the column")
        return value

    return fit


def _decimal(kind: Any) -> Converter:
    whole = None if kind.precision is None else kind.precision - (kind.scale or 0)
    smallest = None if kind.precision is None else Decimal(1).scaleb(-(kind.scale or 0))

    def fit(value: Any) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise Unfit("is not a number") from None
        if isinstance(value, bool) or not number.is_finite():
            raise Unfit("is not a number")
        if whole is not None and number and number.adjusted() >= whole:
            raise Unfit("is a number too large for the column")
        return number if smallest is None else number.quantize(smallest)  # as the database would round it

    return fit


def _float(_: Any) -> Converter:
    def fit(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise Unfit("is not a number")
        try:
            number = float(value)
        except ValueError:
            raise Unfit("is not a number") from None
        if not math.isfinite(number):
            raise Unfit("is not a number")
        return number

    return fit


def _datetime(kind: Any) -> Converter:
    with_zone = bool(kind.timezone)

    def fit(value: Any) -> datetime:
        moment = instant(value)
        return moment if with_zone else moment.replace(tzinfo=None)

    return fit


def instant(value: Any) -> datetime:
    """Return the time of an ISO 8601 text with a zone, in UTC.

    Raises Unfit.
    """
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Unfit("is not a date with time") from None
    if moment.tzinfo is None:
        raise Unfit("is a time without a zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Unfit("is outside the calendar") from None


def _date(_: Any) -> Converter:
    def fit(value: Any) -> date:
        if not isinstance(value, str) or len(value) != len("YYYY-MM-DD"):
            raise Unfit("is not a full date")
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise Unfit("is not a full date") from None

    return fit


def _text(kind: Any) -> Converter:
    longest = kind.length
    words = frozenset(kind.enums) if isinstance(kind, types.Enum) else None

    def fit(value: Any) -> str:
        if not isinstance(value, str):
            raise Unfit("is not text")
        # PostgreSQL stores neither NUL nor lone surrogates in a text column.
        if "\x00" in value or not (value.isascii() or _is_unicode(value)):
            raise Unfit("holds characters that the database cannot store")
        if words is not None and value not in words:
            raise Unfit("is not one of the column's allowed values")
        if longest is not None and len(value) > longest:
            raise Unfit(f"is longer than {longest} characters")
        return value

    return fit


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _uuid(_: Any) -> Converter:
    def fit(value: Any) -> UUID:
        try:
            return UUID(value)
        except (AttributeError, TypeError, ValueError):
            raise Unfit("is not a UUID") from None

    return fit


# In this order, because some of SQLAlchemy's types are subclasses of others.
_MAKERS: tuple[tuple[type[types.TypeEngine[Any]], Callable[[Any], Converter]], ...] = (
    (types.Boolean, _boolean),
    (types.Integer, _integer),
    (types.Float, _float),
    (types.Numeric, _decimal),
    (types.DateTime, _datetime),
    (types.Date, _date),
    (types.Uuid, _uuid),
    (types.String, _text),
)


def plain(value: Any) -> Any:
    """Convert a database value to the form that the mapping's rows have."""
    if isinstance(value, datetime):
        return in_utc(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value) if isinstance(value, UUID) else value


def in_utc(value: datetime) -> datetime:
    """Return a stored time in UTC; one without a zone was stored in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def same(stored: Any, fitted: Any) -> bool:
    """Return True if a stored value equals a converted one."""
    if isinstance(stored, float) and isinstance(fitted, float):
        return math.isclose(stored, fitted, rel_tol=1e-6)  # REAL keeps about seven digits
    if isinstance(stored, datetime) and isinstance(fitted, datetime):
        return in_utc(stored) == in_utc(fitted)
    return bool(stored == fitted)
