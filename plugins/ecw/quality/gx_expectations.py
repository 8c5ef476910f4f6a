"""The project's own expectations; to import this module registers them, and imports Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)

from ecw.resources import RESOURCES

Linked = Callable[[str, Collection[str]], Collection[str]]  # (resource, eCW ids) -> the linked ids
NAMES = MappingProxyType({resource.fhir_type: resource.name for resource in RESOURCES.values()})
LINKED: ContextVar[Linked] = ContextVar("linked")  # queries the CRM; set during a validation


class ColumnValuesReferToLinkedRecords(ColumnMapMetricProvider):
    """The metric that is true for each `FhirType/eCW-id` whose record is linked."""

    condition_metric_name = "column_values.refer_to_linked_records"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **_: Any) -> pd.Series:  # noqa: N805 - GX's form
        linked = LINKED.get()
        if column.empty:
            return pd.Series(False, index=column.index)
        parts = column.astype(str).str.partition("/")
        found = pd.Series(False, index=column.index)
        for fhir_type, ids in parts[2].groupby(parts[0]):
            name = NAMES.get(str(fhir_type))
            if name is not None and (ecw_ids := set(ids) - {""}):
                found[ids.index] = ids.isin(list(linked(name, ecw_ids)))
        return found


class ExpectColumnValuesToReferToLinkedRecords(ColumnMapExpectation):
    """Expect each reference (FhirType/eCW-id) to name a record that is linked: one that the CRM has."""

    map_metric: ClassVar[str] = "column_values.refer_to_linked_records"
    library_metadata: ClassVar[dict[str, Any]] = {"maturity": "production", "tags": ["reference"]}
