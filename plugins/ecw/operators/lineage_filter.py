"""A filter for OpenLineage's transform transport: it removes a run's Trigger form, which may name patients.

Airflow's provider puts `dag_run.conf` into every event of a run.  docs/how-to/lineage.md has the configuration.
"""

from __future__ import annotations

from typing import Any

from openlineage.client.transport.transform import EventTransformer

DAG_PREFIXES = ("ecw_", "crm_vob")  # of the project's DAG ids


class WithoutForm(EventTransformer):
    """Removes `dag_run.conf` from the events of the project's DAGs; other events stay unchanged."""

    def transform(self, event: Any) -> Any:
        """Return the event without the form; it is a copy of the provider's event, and is changed in place."""
        for facet in ((event.run.facets or {}) if hasattr(event, "run") else {}).values():
            dag_run = getattr(facet, "dagRun", None)
            if isinstance(dag_run, dict) and str(dag_run.get("dag_id", "")).startswith(DAG_PREFIXES):
                dag_run.pop("conf", None)
        return event
