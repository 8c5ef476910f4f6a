"""OpenLineage: each load and each push reports its datasets, and which FHIR element becomes which column.

This needs Airflow's OpenLineage provider, installed and configured; without it, nothing is imported or reported. The
reports have names of columns, paths and counts, but no values. If a report fails, the log has a warning and the task
goes on.

Dataset names: https://openlineage.io/docs/spec/naming
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from urllib.parse import urlsplit

from ecw.models import Push, Run

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from sqlalchemy import URL

    from ecw.mapping.definition.model import Column
    from ecw.mapping.definition.model import Mapping as MappingFile

log = logging.getLogger(__name__)
P = ParamSpec("P")
Place = tuple[str, str]  # namespace and name of a dataset


def _quietly(report: Callable[P, None]) -> Callable[P, None]:
    """Run the report if OpenLineage is active, and log its errors instead of failing the task."""

    @wraps(report)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            from airflow.providers.openlineage.api import is_openlineage_active

            if is_openlineage_active():
                report(*args, **kwargs)
        except ImportError:
            return
        except Exception as error:  # noqa: BLE001 - the rows are loaded, with or without a report
            log.warning("OpenLineage: the datasets were not reported (%s).", type(error).__name__)

    return quiet


@_quietly
def report_load(run: Run, resource: str, numbers: Mapping[str, int]) -> None:
    """Report that a load wrote rows of a resource."""
    from airflow.providers.openlineage.api import emit_dataset_lineage

    from ecw.practice.mappings import mapping_of

    mapping = mapping_of(run, resource)
    source, target = ecw_place(run["base_url"], mapping.resource), _crm_place(run["crm_conn_id"], mapping.table)
    fields = {column.name: _paths(column) for column in mapping.pulled}
    rows = numbers["inserted"] + numbers["updated"]
    emit_dataset_lineage(inputs=[_input(source)], outputs=[_output(target, source, fields, rows)])


@_quietly
def report_push(push: Push, counts: Mapping[str, int]) -> None:
    """Report that a push wrote patients into eCW."""
    from airflow.providers.openlineage.api import emit_dataset_lineage

    from ecw.practice.mappings import mapping_of

    mapping = mapping_of(push, push["options"]["resource"])
    source, target = _crm_place(push["crm_conn_id"], mapping.table), ecw_place(push["base_url"], mapping.resource)
    rows = sum(counts.get(word, 0) for word in ("created", "updated"))
    emit_dataset_lineage(inputs=[_input(source)], outputs=[_output(target, source, _elements(mapping), rows)])


def ecw_place(base_url: str, fhir_type: str) -> Place:
    """Return the dataset of a FHIR type: the server as its namespace, the path as its name."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path.rstrip('/')}/{fhir_type}"


def crm_place(url: URL, table: str) -> Place:
    """Return the dataset of a CRM table."""
    if url.get_backend_name() == "sqlite":
        return "file", f"{url.database}/{table}"
    host = url.host or url.query.get("host") or "localhost"
    name = table if "." in table else f"public.{table}"
    return f"postgres://{host}:{url.port or 5432}", f"{url.database}.{name}"


def _crm_place(conn_id: str, table: str) -> Place:
    from ecw.crm.db.url import database_url, url_of
    from ecw.settings import connections

    return crm_place(database_url(url_of(connections.get(conn_id))), table)


def _paths(column: Column) -> list[str]:
    """Return the FHIR elements that fill a column."""
    path = f"{column.group}.{column.path}" if column.group else column.path
    return [path, *([column.fallback.path] if column.fallback else [])]


def _elements(mapping: MappingFile) -> dict[str, list[str]]:
    """Return the FHIR elements that a push writes, each with the columns that fill it."""
    elements: dict[str, list[str]] = {}
    for column in mapping.pushed:
        elements.setdefault(_paths(column)[0], []).append(column.name)
    return elements


def _input(place: Place) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(*place)


def _output(place: Place, source: Place, fields: Mapping[str, Iterable[str]], rows: int) -> OutputDataset:
    """Return the written dataset; `fields` maps each of its fields to the fields of the source that fill it."""
    from openlineage.client import facet_v2 as facets
    from openlineage.client.event_v2 import OutputDataset

    lineage, schema = facets.column_lineage_dataset, facets.schema_dataset
    transformations: list[Any] = [lineage.Transformation(type="DIRECT", subtype="TRANSFORMATION")]
    column_lineage = {
        name: lineage.Fields(
            inputFields=[lineage.InputField(*source, field=each, transformations=transformations) for each in inputs]
        )
        for name, inputs in fields.items()
    }
    return OutputDataset(
        *place,
        outputFacets={
            "outputStatistics": facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=rows
            )
        },
        facets={
            "schema": schema.SchemaDatasetFacet(fields=[schema.SchemaDatasetFacetFields(name=name) for name in fields]),
            "columnLineage": lineage.ColumnLineageDatasetFacet(fields=column_lineage),
        },
    )
