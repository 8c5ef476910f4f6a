"""Generate the catalogue of expectations from the installed Great Expectations.  Only for `make docs` and tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import orjson

from ecw.quality.catalogue import Scope

# The result of these for a row depends on the other rows.
AMONG_EACH_OTHER = frozenset(
    {
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_values_to_not_be_outliers",
        "expect_column_value_z_scores_to_be_less_than",
    }
)
OF_THE_BATCH = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})
TOO_ELABORATE = frozenset(
    {"expect_column_kl_divergence_to_be_less_than", "expect_column_quantile_values_to_be_between"}
)
# GX's own bookkeeping, and `mostly`: meta.max_failed_ratio replaces it, for a share of the batch, not of a chunk.
LEFT_OUT = frozenset(
    {
        *("id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "severity"),
        *("windows", "batch_id", "metadata", "library_metadata", "mostly", "row_condition", "condition_parser"),
    }
)
COLUMNS = ("column", "column_A", "column_B", "column_list")


def generate() -> bytes:
    """Return the content of expectations.json."""
    return orjson.dumps(dict(_types()), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def _types() -> Iterator[tuple[str, dict[str, Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations.expectations  # noqa: F401 - it registers them
        from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
        from great_expectations.expectations import expectation as kinds
        from great_expectations.expectations import registry

        import ecw.quality.gx_expectations  # noqa: F401 - the same

    for name in sorted({*registry.list_registered_expectation_implementations()} - TOO_ELABORATE):
        its = registry.get_expectation_impl(name)
        scope = Scope.BATCH
        if issubclass(
            its, kinds.ColumnMapExpectation | kinds.ColumnPairMapExpectation | kinds.MulticolumnMapExpectation
        ):
            scope = Scope.ROWS if name in AMONG_EACH_OTHER else Scope.ROW
            providers = registry._registered_metrics.get(f"{its.map_metric}.condition", {}).get("providers", {})
            if PandasExecutionEngine.__name__ not in providers:
                continue
        elif name not in OF_THE_BATCH and not issubclass(its, kinds.ColumnAggregateExpectation):
            continue
        schema = orjson.loads(its.schema_json())
        properties = {key: _plain(value) for key, value in schema["properties"].items() if key not in LEFT_OUT}
        summary = " ".join((its.__doc__ or "").strip().split("\n\n")[0].split())
        yield (
            name,
            {
                "scope": scope,
                "columns": [key for key in COLUMNS if key in properties],
                "properties": properties,
                "required": [key for key in schema.get("required", ()) if key in properties],
                "row_condition": "row_condition" in schema["properties"],
                "summary": summary,
            },
        )


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("title", "default")}
