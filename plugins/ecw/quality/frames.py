"""Convert staged rows into the pandas frame that Great Expectations validates.

It has a column for each column of the mapping that a rule uses.  Strings, codes and references are texts, a `date` is a
date, a `datetime` is a datetime with its offset, numbers are numbers.  For a rule that compares a datetime with a day,
the frame has another column with the datetime's day in the practice's time zone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from ecw.errors import MappingError
from ecw.quality.catalogue import catalogue
from ecw.quality.kwargs import is_day
from ecw.quality.suite import Rule, Suite

if TYPE_CHECKING:
    import pandas as pd

DAY = " (day)"  # suffix of a column with the days of datetimes; a database column has no such name


def frame_kwargs(rule: Rule, types: Mapping[str, str]) -> dict[str, Any]:
    """Return a rule's kwargs with the names of the frame's columns."""
    kwargs = dict(rule.kwargs)
    of_days = any(is_day(kwargs.get(name)) for name in ("min_value", "max_value"))
    of_days |= {types[name] for name in rule.columns} == {"date", "datetime"}
    if of_days:
        for name in catalogue()[rule.type].columns:
            one = kwargs[name]
            kwargs[name] = [_day(each, types) for each in one] if isinstance(one, list) else _day(one, types)
    return kwargs


def frame_columns(rules: Iterable[Rule], types: Mapping[str, str]) -> list[str]:
    """Return the columns of the frame that the rules use."""
    found: dict[str, None] = {}
    for rule in rules:
        kwargs = frame_kwargs(rule, types)
        for name in catalogue()[rule.type].columns:
            found |= dict.fromkeys(kwargs[name] if isinstance(kwargs[name], list) else [kwargs[name]])
        found |= dict.fromkeys(rule.condition)
    return list(found)


def frame(suite: Suite, columns: Sequence[str], names: Sequence[str], values: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return a frame with `columns`; each row of `values` has the values of the mapping's columns `names`.

    Raises MappingError if a value is not of its column's type.
    """
    import pandas as pd

    by_name = dict(zip(names, zip(*values, strict=True), strict=True))
    found = {}
    for column in columns:
        name = column.removesuffix(DAY)
        try:
            found[column] = _series(by_name[name], suite.types[name], column != name, suite.zone)
        except (TypeError, ValueError):
            raise MappingError(
                f"{suite.path}: a rule uses the column {name}, and it holds a value that is not of its type, "
                f"{suite.types[name]}.",
                next_step="compare the column's type in the mapping with its path.",
            ) from None
    return pd.DataFrame(found, index=pd.RangeIndex(len(values)), copy=False)


def _day(column: str, types: Mapping[str, str]) -> str:
    return column + DAY if types[column] == "datetime" else column


def _series(values: Sequence[Any], kind: str, of_day: bool, zone: tzinfo) -> pd.Series[Any]:
    import pandas as pd

    match kind:
        case "integer":
            return pd.Series(values, dtype="Int64")
        case "decimal":
            return pd.Series(values, dtype="float64")
        case "date":
            values = [None if value is None else date.fromisoformat(value) for value in values]
        case "datetime" if of_day:
            values = [None if value is None else _moment(value).astimezone(zone).date() for value in values]
        case "datetime":
            values = [None if value is None else _moment(value) for value in values]
    return pd.Series(values, dtype=object)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment
