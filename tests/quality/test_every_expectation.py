"""Every expectation of the catalogue works on staged rows: bad rows fail it, good rows do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ecw.quality.catalogue import Scope, catalogue
from ecw.quality.suite import load_suite

TYPES = {"a": "string", "b": "string", "n": "integer", "x": "decimal", "y": "decimal", "r": "reference"}
A_AND_B = {"column_A": "a", "column_B": "b"}
# Without `expect_`: kwargs, good rows, bad rows.
ROWS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "column_pair_values_a_to_be_greater_than_b": (
        {"column_A": "x", "column_B": "y"},
        [{"x": 2, "y": 1}],
        [{"x": 1, "y": 2}],
    ),
    "column_pair_values_to_be_equal": (A_AND_B, [{"a": "1", "b": "1"}], [{"a": "1", "b": "2"}]),
    "column_pair_values_to_be_in_set": (
        {**A_AND_B, "value_pairs_set": [["1", "2"], ["3", "4"]]},
        [{"a": "1", "b": "2"}],
        [{"a": "1", "b": "4"}],
    ),
    "column_value_lengths_to_be_between": ({"column": "a", "max_value": 2}, [{"a": "12"}, {}], [{"a": "123"}]),
    "column_value_lengths_to_equal": ({"column": "a", "value": 2}, [{"a": "12"}, {}], [{"a": "1"}]),
    "column_value_z_scores_to_be_less_than": (
        {"column": "x", "threshold": 3, "double_sided": True},
        [{"x": number % 7} for number in range(60)],
        [{"x": 1000}],
    ),
    "column_values_to_be_between": (
        {"column": "n", "min_value": 1, "max_value": 5},
        [{"n": 1}, {"n": 5}, {}],
        [{"n": 6}],
    ),
    "column_values_to_be_dateutil_parseable": ({"column": "a"}, [{"a": "3 May 2020"}, {}], [{"a": "never"}]),
    "column_values_to_be_decreasing": ({"column": "x"}, [{"x": 3}, {"x": 2}], [{"x": 5}]),
    "column_values_to_be_in_set": ({"column": "a", "value_set": ["1", "2"]}, [{"a": "1"}, {}], [{"a": "3"}]),
    "column_values_to_be_in_type_list": ({"column": "a", "type_list": ["str"]}, [{"a": "1"}], []),
    "column_values_to_be_increasing": ({"column": "x"}, [{"x": 2}, {"x": 3}], [{"x": 1}]),
    "column_values_to_be_json_parseable": ({"column": "a"}, [{"a": "[1]"}, {}], [{"a": "[1"}]),
    "column_values_to_be_null": ({"column": "a"}, [{}], [{"a": "1"}]),
    "column_values_to_be_of_type": ({"column": "a", "type_": "str"}, [{"a": "1"}], []),
    "column_values_to_be_unique": ({"column": "a"}, [{"a": "1"}, {}, {}], [{"a": "2"}, {"a": "2"}]),
    "column_values_to_match_json_schema": (
        {"column": "a", "json_schema": {"type": "array"}},
        [{"a": "[1]"}],
        [{"a": "5"}],
    ),
    "column_values_to_match_regex": ({"column": "a", "regex": "^1"}, [{"a": "12"}, {}], [{"a": "21"}]),
    "column_values_to_match_regex_list": ({"column": "a", "regex_list": ["^1", "^2"]}, [{"a": "2"}, {}], [{"a": "3"}]),
    "column_values_to_match_strftime_format": (
        {"column": "a", "strftime_format": "%Y"},
        [{"a": "2020"}, {}],
        [{"a": "x"}],
    ),
    "column_values_to_not_be_in_set": ({"column": "a", "value_set": ["1"]}, [{"a": "2"}, {}], [{"a": "1"}]),
    "column_values_to_not_be_null": ({"column": "a"}, [{"a": "1"}], [{}]),
    "column_values_to_not_be_outliers": (
        {"column": "x", "method": "iqr", "multiplier": 1.5},
        [{"x": number % 7} for number in range(60)],
        [{"x": 1000}],
    ),
    "column_values_to_not_match_regex": ({"column": "a", "regex": "^1"}, [{"a": "21"}, {}], [{"a": "12"}]),
    "column_values_to_not_match_regex_list": (
        {"column": "a", "regex_list": ["^1", "^2"]},
        [{"a": "3"}, {}],
        [{"a": "2"}],
    ),
    "column_values_to_refer_to_linked_records": ({"column": "r"}, [{"r": "Patient/1"}, {}], [{"r": "Patient/2"}]),
    "compound_columns_to_be_unique": (
        {"column_list": ["a", "b"]},
        [{"a": "1", "b": "1"}, {"a": "1", "b": "2"}],
        [{"a": "2", "b": "2"}, {"a": "2", "b": "2"}],
    ),
    "multicolumn_sum_to_equal": ({"column_list": ["x", "y"], "sum_total": 3}, [{"x": 1, "y": 2}], [{"x": 1, "y": 1}]),
    "multicolumn_values_to_be_equal": ({"column_list": ["a", "b"]}, [{"a": "1", "b": "1"}], [{"a": "1", "b": "2"}]),
    "select_column_values_to_be_unique_within_record": (
        {"column_list": ["a", "b"]},
        [{"a": "1", "b": "2"}],
        [{"a": "1", "b": "1"}],
    ),
}
# For a batch with x = 1, 2, 3 and a = "1", "1", "2": kwargs that pass, kwargs that fail.
BATCH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "column_distinct_values_to_be_in_set": ({"value_set": ["1", "2", "3"]}, {"value_set": ["1"]}),
    "column_distinct_values_to_contain_set": ({"value_set": ["1"]}, {"value_set": ["3"]}),
    "column_distinct_values_to_equal_set": ({"value_set": ["1", "2"]}, {"value_set": ["1"]}),
    "column_max_to_be_between": ({"max_value": 3}, {"max_value": 2}),
    "column_mean_to_be_between": ({"max_value": 2}, {"max_value": 1}),
    "column_median_to_be_between": ({"max_value": 2}, {"max_value": 1}),
    "column_min_to_be_between": ({"min_value": 1}, {"min_value": 2}),
    "column_most_common_value_to_be_in_set": ({"value_set": ["1"]}, {"value_set": ["2"]}),
    "column_proportion_of_non_null_values_to_be_between": ({"min_value": 1}, {"max_value": 0.5}),
    "column_proportion_of_unique_values_to_be_between": ({"max_value": 1}, {"max_value": 0.1}),
    "column_stdev_to_be_between": ({"max_value": 2}, {"max_value": 0.5}),
    "column_sum_to_be_between": ({"max_value": 6}, {"max_value": 5}),
    "column_unique_value_count_to_be_between": ({"max_value": 2}, {"max_value": 1}),
    "table_row_count_to_be_between": ({"min_value": 3}, {"min_value": 4}),
    "table_row_count_to_equal": ({"value": 3}, {"value": 2}),
}
TEXT_EXPECTATIONS = ("distinct", "common", "unique")


def failed(folder: Path, name: str, kwargs: dict[str, Any], rows: list[dict[str, Any]]) -> Any:
    """Return the indexes of the rows that fail the expectation; None if a batch-level expectation fails."""
    from ecw.quality.gx_runner import compiled, judge  # first: it imports Great Expectations without its warnings

    from great_expectations.expectations.registry import (  # isort: skip
        list_registered_expectation_implementations,
    )

    if f"expect_{name}" not in list_registered_expectation_implementations():
        pytest.skip("the installed version of Great Expectations does not have it")
    file = folder / "person.yaml"
    rule = {"type": f"expect_{name}", "kwargs": kwargs, "meta": {"on_fail": "warn"}}
    file.write_text(json.dumps({"resource": "person", "expectations": [rule]}))
    suite = load_suite(file, TYPES)
    part = compiled(suite).row if suite.rules[0].scope is Scope.ROW else compiled(suite).batch
    values = [tuple(map(row.get, part.names)) for row in rows]
    [failures] = judge(suite, part, values, lambda resource, ids: {"1"} & set(ids)).values()
    return failures if failures is None else list(failures)


def test_every_type_has_an_example() -> None:
    assert {f"expect_{name}" for name in (*ROWS, *BATCH)} == set(catalogue())


@pytest.mark.parametrize("name", ROWS)
def test_exactly_the_bad_rows_fail(tmp_path: Path, name: str) -> None:
    kwargs, good, bad = ROWS[name]

    assert failed(tmp_path, name, kwargs, good) == []
    assert failed(tmp_path, name, kwargs, [*good, *bad]) == list(range(len(good), len(good) + len(bad)))


@pytest.mark.parametrize("name", ROWS)
def test_rows_outside_the_row_condition_do_not_fail(tmp_path: Path, name: str) -> None:
    kwargs, good, bad = ROWS[name]
    condition = {"type": "comparison", "column": {"name": "n"}, "operator": ">", "parameter": 100}
    rows = [{**row, "n": row.get("n", 0)} for row in (*good, *bad)]

    assert failed(tmp_path, name, {**kwargs, "row_condition": condition}, rows) == []


@pytest.mark.parametrize("name", [name for name in ROWS if name != "column_values_to_not_be_null"])
def test_a_batch_without_values_does_not_fail(tmp_path: Path, name: str) -> None:
    kwargs, _, _ = ROWS[name]

    assert failed(tmp_path, name, kwargs, [{}, {}]) == []


@pytest.mark.parametrize("name", BATCH)
def test_a_batch_level_expectation_passes_or_fails(tmp_path: Path, name: str) -> None:
    holds, breaks = BATCH[name]
    column = (
        {"column": "a" if any(part_of_name in name for part_of_name in TEXT_EXPECTATIONS) else "x"}
        if name.startswith("column")
        else {}
    )
    rows = [{"x": 1, "a": "1"}, {"x": 2, "a": "1"}, {"x": 3, "a": "2"}]

    assert failed(tmp_path, name, {**column, **holds}, rows) == []
    assert failed(tmp_path, name, {**column, **breaks}, rows) is None
