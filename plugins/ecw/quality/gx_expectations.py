"""Expectations that Great Expectations does not have, registered with it; importing this imports it."""

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

Linked = Callable[[str, Collection[str]], Collection[str]]  # of a resource's eCW ids those that are linked
NAMES = MappingProxyType({resource.fhir_type: resource.name for resource in RESOURCES.values()})
LINKED: ContextVar[Linked] = ContextVar("linked")  # the CRM that is asked, set around a validation


class ColumnValuesReferToLinkedRecords(ColumnMapMetricProvider):
    """Whether each `FhirType/eCW-id` names a record that the CRM has."""

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
            if name is not None and (asked := set(ids) - {""}):
                found[ids.index] = ids.isin(list(linked(name, asked)))
        return found


class ExpectColumnValuesToReferToLinkedRecords(ColumnMapExpectation):
    """Expect each reference (FhirType/eCW-id) to name a record that is linked: one that the CRM has."""

    map_metric: ClassVar[str] = "column_values.refer_to_linked_records"
    library_metadata: ClassVar[dict[str, Any]] = {"maturity": "production", "tags": ["reference"]}
