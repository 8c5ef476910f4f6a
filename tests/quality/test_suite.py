"""A quality suite is read, or every mistake in it is reported with its place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ecw.errors import MappingError
from ecw.quality.catalogue import Scope
from ecw.quality.suite import Rule, Suite, load_suite
from ecw.quality.suite_file import Volume

TYPES = {"ecw_id": "string", "name": "string", "state": "code", "born": "date", "died": "datetime", "size": "decimal"}
GOOD = """\
resource: person
small_batch: 20
volume: {at_least: 0.5, on_fail: stop, reason: people leave one by one}
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs:
      column: name
      row_condition: {type: nullity, column: {name: ecw_id}, is_null: true}
    meta:
      on_fail: reject
      max_failed_ratio: 0.1
      reason: everybody has a name
  - type: expect_column_values_to_be_between
    kwargs: {column: born, min_value: 1900-01-01, max_value: {$PARAMETER: tomorrow}}
    meta: {on_fail: stop}
  - type: expect_column_values_to_match_regex
    kwargs: {column: state, regex: '^[A-Z]{2}$'}
    meta: {on_fail: warn}
"""


def read(tmp_path: Path, text: str) -> Suite:
    path = tmp_path / "person.yaml"
    path.write_text(text)
    return load_suite(path, TYPES, today=date(2026, 11, 22))


def test_a_suite_is_read(tmp_path: Path) -> None:
    suite = read(tmp_path, GOOD)

    assert (suite.resource, suite.small_batch) == ("person", 20)
    assert suite.volume == Volume(at_least=0.5, on_fail="stop", reason="people leave one by one")
    first, between, regex = suite.rules
    assert first == Rule(
        name="expect_column_values_to_not_be_null",
        type="expect_column_values_to_not_be_null",
        kwargs={
            "column": "name",
            "row_condition": {"type": "nullity", "column": {"name": "ecw_id"}, "is_null": True},
        },
        scope=Scope.ROW,
        columns=("name",),
        condition=("ecw_id",),
        on_fail="reject",
        max_failed_ratio=0.1,
        reason="everybody has a name",
        line=5,
    )
    assert first.columns_read == ("name", "ecw_id")
    assert (between.kwargs["min_value"], between.max_failed_ratio, between.line) == ("1900-01-01", 0.0, 13)
    assert (regex.max_failed_ratio, regex.reason) == (None, "")
    assert suite.days == {"today": date(2026, 11, 22), "tomorrow": date(2026, 11, 23)}


def test_two_rules_of_one_type_on_one_column_have_different_names(tmp_path: Path) -> None:
    rule = (
        "  - {type: expect_column_values_to_match_regex, kwargs: {column: state, regex: '%s'}, meta: {on_fail: warn}}\n"
    )

    names = [rule.name for rule in read(tmp_path, GOOD + rule % "A" + rule % "B").rules]

    match = "expect_column_values_to_match_regex"
    assert names[2:] == [match, f"{match} (2)", f"{match} (3)"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("resource: person", "resource: people", "1:11: 'people' is not the resource of this file; use 'person'"),
        ("resource: person", "resuorce: person", "1:1: 'resuorce' is not a key here; did you mean 'resource'?"),
        ("resource: person", "resuorce: person", "1:1: the key 'resource' is missing"),
        ("small_batch: 20", "small_batch: few", "2:14: small_batch must be a whole number"),
        ("at_least: 0.5", "at_least: 50", "3:20: at_least input should be less than or equal to 1"),
        ("on_fail: stop, reason", "on_fail: reject, reason", "3:34: 'reject' is not a value of on_fail"),
        ("on_fail: reject", "on_fail: rejct", "10:16: 'rejct' is not a value of on_fail; did you mean 'reject'?"),
        ("      on_fail: reject\n", "", "10:7: the key 'on_fail' is missing"),
        (
            "max_failed_ratio",
            "max_failed_rate",
            "11:7: 'max_failed_rate' is not a key here; did you mean 'max_failed_ra",
        ),
        (
            "    kwargs: {column: born",
            "    kwarg: {column: born",
            "14:5: 'kwarg' is not a key here; did you mean 'kwargs'?",
        ),
        (
            "expect_column_values_to_not_be_null",
            "expect_column_value_to_not_be_nul",
            "5:11: 'expect_column_value_to_not_be_nul' is not an expectation; did you mean 'expect_column",
        ),
        ("regex: '", "regx: '", "17:29: 'regx' is not a kwarg here; did you mean 'regex'?"),
        ("to_match_regex\n", "to_match_regex_list\n", "17:13: the kwarg 'regex_list' is missing"),
        ("regex: '^[A-Z]{2}$'", "regex: 5", "17:36: regex: string is wanted"),
        ("regex: '^[A-Z]{2}$'", "regex: 'ab(c'", "17:39: is not a regular expression: missing )"),
        ("column: state", "column: stat", "17:22: 'stat' is not a column of the mapping; did you mean 'state'?"),
        ("column: state, ", "", "17:13: the kwarg 'column' is missing"),
        (
            "$'}",
            "$', mostly: 0.9}",
            "17:50: 'mostly' is not a kwarg here; a share is counted over the batch, not by Great Expectations",
        ),
        (
            "name: ecw_id",
            "name: ecw",
            "8:22: row_condition: 'ecw' is not a column of the mapping; did you mean 'ecw_id'?",
        ),
        (
            "row_condition: {type: nullity, column: {name: ecw_id}, is_null: true}",
            "row_condition: ecw_id.isnull()",
            "8:22: a row_condition that is a text needs `condition_parser: pandas`",
        ),
        (
            "row_condition: {type: nullity, column: {name: ecw_id}, is_null: true}",
            "row_condition: 'sate == \"NY\"'\n      condition_parser: pandas",
            "8:22: row_condition: 'sate' is not a column of the mapping; did you mean 'state'?",
        ),
        (
            "row_condition: {type: nullity, column: {name: ecw_id}, is_null: true}",
            "row_condition: 'state =='\n      condition_parser: pandas",
            "is not an expression of pandas",
        ),
        ("{type: nullity", "{tipe: nullity", "8:23: 'tipe' is not a key here; did you mean 'type'?"),
        ("{type: nullity", "{type: nulity", "8:29: 'nulity' is not a value of type; did you mean 'nullity'?"),
        ("is_null: true", "is_nul: true", "8:62: 'is_nul' is not a key here; did you mean 'is_null'?"),
        (", is_null: true", "", "8:22: the key 'is_null' is missing"),
        ("column: {name: ecw_id}", "column: ecw_id", "8:46: column is written as {name: <column>}"),
        ("column: {name: ecw_id}", "column: {nam: ecw_id}", "8:47: 'nam' is not a key here; did you mean 'name'?"),
        (
            "{type: nullity, column: {name: ecw_id}, is_null: true}",
            "{type: and, conditions: [{type: pass_through, pass_trough_filter: x}]}",
            "'pass_trough_filter' is not a key here; did you mean 'pass_through_filter'?",
        ),
        ("{type: nullity, column: {name: ecw_id}, is_null: true}", "{type: or, conditions: x}", "conditions is a list"),
        ("{type: nullity, column: {name: ecw_id}, is_null: true}", "{type: or, conditions: [x]}", "a condition is a "),
        ("{$PARAMETER: tom", "{$PARAMETR: tom", "14:63: '$PARAMETR' is not a key here; did you mean '$PARAMETER'?"),
        ("min_value: 1900-01-01", "min_value: 1900-13-01", "14:39: min_value: neither a number nor a day such as"),
        ("min_value: 1900-01-01", "min_value: 5", "14:39: min_value: the column's type is date: a day such as 1900"),
        ("min_value: 1900-01-01", "min_value: 1900-01-01T00:00:00Z", "min_value: the column's type is date: a day"),
        ("column: born", "column: size", "14:39: min_value: the column's type is decimal: a number is wanted"),
        ("column: born", "column: name", "14:39: min_value: the column's type is string, which has no order"),
        ("tomorrow}", "yesterday}", "14:75: the parameter does not exist; use one of: today, tomorrow"),
        ("max_value: {$PARAMETER: tomorrow}", "max_value: 1899-01-01", "no value is between min_value and max_value"),
        (
            "min_value: 1900-01-01, max_value: {$PARAMETER: tomorrow}",
            "strict_min: true",
            "needs min_value or max_value",
        ),
        (
            "to_match_regex\n    kwargs: {column: state, regex: '^[A-Z]{2}$'}",
            "to_be_in_set\n    kwargs: {column: state, value_set: []}",
            "17:40: value_set: allows no value at all",
        ),
        (
            "column_values_to_match_regex\n    kwargs: {column: state, regex: '^[A-Z]{2}$'}\n    meta: {on_fail: warn}",
            "table_row_count_to_equal\n    kwargs: {value: 5}\n    meta: {on_fail: reject}",
            "18:21: this expectation names no rows to reject; use 'warn' or 'stop'",
        ),
        (
            "  - type: expect_column_values_to_match",
            "  - type: a\n    type: expect_column_values_to_match",
            "'type' occurs twice",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD

    with pytest.raises(MappingError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))

    assert message in str(error.value)


def test_the_same_expectation_twice_is_a_mistake(tmp_path: Path) -> None:
    again = GOOD[GOOD.rindex("  - type:") :].replace("warn", "stop")

    with pytest.raises(MappingError, match=r"person.yaml:19:5: the same expectation is in the list above"):
        read(tmp_path, GOOD + again)


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as error:
        read(tmp_path, GOOD.replace("column: state", "column: stat").replace("column: name", "column: nam"))

    assert "'stat'" in str(error.value)
    assert "'nam'" in str(error.value)


def test_a_mistake_of_one_expectation_hides_none_of_another(tmp_path: Path) -> None:
    with pytest.raises(MappingError) as error:
        read(tmp_path, GOOD.replace("column: state", "column: stat").replace("on_fail: reject", "on_fial: reject"))

    assert "'stat'" in str(error.value)
    assert "'on_fial'" in str(error.value)


@pytest.mark.parametrize("text", ["NO", "ON", "1990-01-01", "01234", "'5'", "y"])
def test_a_value_of_a_value_set_is_the_text_of_the_file(tmp_path: Path, text: str) -> None:
    """YAML 1.1 would read these as false, true, a date and an octal number."""
    suite = read(
        tmp_path, GOOD.replace("to_match_regex", "to_be_in_set").replace("regex: '^[A-Z]{2}$'", f"value_set: [{text}]")
    )

    assert suite.rules[-1].kwargs["value_set"] == [text.strip("'")]


@pytest.mark.parametrize(
    ("text", "message"), [("", "the file is empty"), ("expectations: [", "is not YAML"), ("[]", "must be a list of")]
)
def test_a_file_that_is_not_a_suite_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="cannot be read"):
        load_suite(tmp_path / "nothing.yaml", TYPES)
