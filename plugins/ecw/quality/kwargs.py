"""Check the kwargs of an expectation in a suite file against the catalogue and the mapping's columns."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any

from ecw.did_you_mean import did_you_mean
from ecw.quality.catalogue import Known, Scope

BOUNDS = ("min_value", "max_value")
# Great Expectations' kinds of row_condition and their keys; it ignores a key that it does not know.
CONDITION_KEYS = MappingProxyType(
    {
        "comparison": ("type", "column", "operator", "parameter"),
        "nullity": ("type", "column", "is_null"),
        "pass_through": ("type", "pass_through_filter"),
        "and": ("type", "conditions"),
        "or": ("type", "conditions"),
    }
)
PARAMETER = "$PARAMETER"
PARAMETERS = ("today", "tomorrow")  # days that a suite may name as {$PARAMETER: today}
CONDITIONS = ("row_condition", "condition_parser")
INSTEAD = MappingProxyType(
    {
        "mostly": "a share is counted over the batch, not by Great Expectations: write meta.max_failed_ratio",
        "result_format": "results hold row numbers only, never values: leave it out",
    }
)
Wrong = Callable[..., None]  # (place below kwargs, problem, key=..., offset=...)


def check_kwargs(kwargs: Mapping[str, Any], known: Known, columns: Mapping[str, str], wrong: Wrong) -> None:
    """Report every kwarg that is unknown, missing or wrong, and every unknown column, through `wrong`."""
    allowed = [*known.properties, *(CONDITIONS if known.row_condition else ())]
    for name, value in kwargs.items():
        if name not in allowed:
            wrong(
                (name,), f"{name!r} is not a kwarg here; {INSTEAD.get(name) or did_you_mean(name, allowed)}", key=True
            )
        elif name in known.columns:
            for place, column in _columns(name, value):
                if not isinstance(column, str) or column not in columns:
                    wrong(place, f"{column!r} is not a column of the mapping; {did_you_mean(str(column), columns)}")
        elif name not in CONDITIONS:
            _check_value(name, value, known.properties[name], wrong)
    for name in known.required:
        if name not in kwargs:
            wrong((), f"the kwarg {name!r} is missing")
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if "min_value" in known.properties and low is None and high is None:
        wrong((), "needs min_value or max_value")
    if type(low) is type(high) is not dict and low is not None and low > high:
        wrong(("min_value",), "no value is between min_value and max_value")
    _check_bounds(kwargs, known, columns, wrong)
    _check_condition(kwargs, columns, wrong)


def condition_columns(condition: Any) -> set[str]:
    """Return the names that a row_condition uses; in a correct one they are columns.

    Raises SyntaxError if its text is not an expression.
    """
    if isinstance(condition, str):
        tree = ast.parse(condition.replace("`", ""), mode="eval")
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if isinstance(condition, Mapping):
        named = condition.get("column")
        own = {named["name"]} if isinstance(named, Mapping) and isinstance(named.get("name"), str) else set()
        text = condition.get("pass_through_filter")
        own |= condition_columns(text) if isinstance(text, str) else set()
        return own.union(*(condition_columns(each) for each in condition.get("conditions") or ()))
    return set()


def is_day(bound: Any) -> bool:
    """Return True if a bound is a day, not a time or a number."""
    return isinstance(bound, Mapping) or (
        isinstance(bound, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", bound) is not None
    )


def _columns(name: str, value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if name == "column_list" and isinstance(value, list):
        yield from (((name, number), column) for number, column in enumerate(value))
    else:
        yield (name,), value


def _check_value(name: str, value: Any, schema: Mapping[str, Any], wrong: Wrong) -> None:
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]

    if isinstance(value, Mapping) and schema.get("type") != "object":
        for key in value.keys() - {PARAMETER}:
            wrong((name, key), f"{key!r} is not a key here; did you mean {PARAMETER!r}?", key=True)
        if value.get(PARAMETER, PARAMETERS[0]) not in PARAMETERS:
            wrong((name, PARAMETER), f"the parameter does not exist; use one of: {', '.join(PARAMETERS)}")
        return
    if value == []:
        wrong((name,), f"{name}: allows no value at all")
        return
    plain = [int(one) if isinstance(one, bool) else one for one in value] if isinstance(value, list) else value
    if next(Draft7Validator(schema).iter_errors(plain), None) is not None:
        wrong((name,), f"{name}: {_wanted(schema)} is wanted")
        return
    patterns = value if name == "regex_list" else [value] if name == "regex" else []
    for number, pattern in enumerate(patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            place = (name, number) if name == "regex_list" else (name,)
            wrong(place, f"is not a regular expression: {error.msg}", offset=error.pos or 0)


def _wanted(schema: Mapping[str, Any]) -> str:
    kinds = [schema, *schema.get("anyOf", ())]
    words = dict.fromkeys(
        each.get("format") or each["type"] for each in kinds if each.get("type", "object") != "object"
    )
    return " or ".join([*words, *(repr(word) for word in schema.get("enum", ()))]) or "another value"


def _check_bounds(kwargs: Mapping[str, Any], known: Known, columns: Mapping[str, str], wrong: Wrong) -> None:
    """Report each bound that cannot be compared with the values of its column."""
    kind = columns.get(str(kwargs.get("column")))
    schema = known.properties.get("min_value", {})
    of_values = {"type": "string", "format": "date"} in schema.get("anyOf", ())
    for name in BOUNDS:
        bound = kwargs.get(name)
        if bound is None or not (of_values or isinstance(bound, str)):
            continue
        if isinstance(bound, str) and not _is_time(bound):
            wrong((name,), f"{name}: neither a number nor a day such as 1900-01-31 nor a time with an offset")
        elif kind in ("date", "datetime") and not isinstance(bound, str | Mapping):
            wrong((name,), f"{name}: the column's type is {kind}: a day such as 1900-01-31 is wanted")
        elif kind == "date" and not is_day(bound):
            wrong((name,), f"{name}: the column's type is date: a day such as 1900-01-31 is wanted")
        elif kind in ("integer", "decimal") and isinstance(bound, str | Mapping):
            wrong((name,), f"{name}: the column's type is {kind}: a number is wanted")
        elif kind is not None and kind not in ("date", "datetime", "integer", "decimal") and known.scope is Scope.ROW:
            wrong((name,), f"{name}: the column's type is {kind}, which has no order; compare numbers or days")


def _is_time(text: str) -> bool:
    try:
        return (is_day(text) and bool(date.fromisoformat(text))) or datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_condition(kwargs: Mapping[str, Any], columns: Mapping[str, str], wrong: Wrong) -> None:
    condition = kwargs.get("row_condition")
    if condition is None:
        return
    if not isinstance(condition, str | Mapping):
        wrong(("row_condition",), "row_condition: an expression such as `state.isnull()` is wanted")
        return
    if isinstance(condition, str) and kwargs.get("condition_parser") != "pandas":
        wrong(("row_condition",), "a row_condition that is a text needs `condition_parser: pandas`")
    if isinstance(condition, Mapping):
        mistakes = list(_condition_mistakes(condition, ("row_condition",)))
        for place, problem, is_key in mistakes:
            wrong(place, problem, key=is_key)
        if mistakes:
            return
    try:
        names = condition_columns(condition)
    except SyntaxError as error:
        wrong(("row_condition",), "is not an expression of pandas", offset=(error.offset or 1) - 1)
        return
    for name in sorted(names - columns.keys()):
        wrong(
            ("row_condition",), f"row_condition: {name!r} is not a column of the mapping; {did_you_mean(name, columns)}"
        )


def _condition_mistakes(
    condition: Any, place: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
    """Yield (place, problem, is_key) of each mistake in a condition; `is_key`: the place is the key, not its value."""
    if not isinstance(condition, Mapping):
        yield place, "a condition is a list of `key: value` lines", False
        return
    kind = condition.get("type")
    keys = CONDITION_KEYS.get(str(kind), tuple(dict.fromkeys(key for each in CONDITION_KEYS.values() for key in each)))
    for name in condition.keys() - set(keys):
        yield (*place, name), f"{name!r} is not a key here; {did_you_mean(name, keys)}", True
    if kind not in CONDITION_KEYS:
        if "type" in condition:
            yield (*place, "type"), f"{kind!r} is not a value of type; {did_you_mean(str(kind), CONDITION_KEYS)}", False
        return
    for name in keys:
        if name not in condition:
            yield place, f"the key {name!r} is missing", False
    column = condition.get("column")
    if "column" in condition and (not isinstance(column, Mapping) or "name" not in column):
        yield (*place, "column"), "column is written as {name: <column>}", False
    for name in column.keys() - {"name"} if isinstance(column, Mapping) else ():
        yield (*place, "column", name), f"{name!r} is not a key here; did you mean 'name'?", True
    if "conditions" in condition and not isinstance(condition["conditions"], list):
        yield (*place, "conditions"), "conditions is a list, each item after a dash", False
    elif "conditions" in condition:
        for at, each in enumerate(condition["conditions"]):
            yield from _condition_mistakes(each, (*place, "conditions", at))
