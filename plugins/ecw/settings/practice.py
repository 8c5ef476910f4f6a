"""One practice as it is configured."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_CONNECTION, DEFAULT_CRM = "ecw_default", "crm_default"


@dataclass(frozen=True, slots=True)
class Practice:
    """One practice as it is configured; None and empty: what holds for all.

    `name` is what its DAG ids end with: the connection's id without `ecw_`; "" of the one at `ecw_default`.
    """

    name: str
    connection: str = DEFAULT_CONNECTION
    crm_connection: str = DEFAULT_CRM
    schedule: str | None = None  # cron; else the Variable ecw_pull_schedule
    resources: tuple[str, ...] = ()  # else the Variable ecw_pull_resources
    mappings: Path | None = None  # a folder: its files stand in for those of the project
    quality: Path | None = None
    alerts: dict[str, Any] = field(default_factory=dict)  # as the Variable ecw_alerts
    staging: str | None = None  # else the Variable ecw_staging
    pool: str = "ecw_api"
    push: bool = True
    vob_webhook: str = "vob_webhook"

    @property
    def suffix(self) -> str:
        """What the practice's DAG ids end with."""
        return f"__{self.name}" if self.name else ""

    def dag_id(self, of: str) -> str:
        """Return the id of one of the practice's DAGs: `ecw_pull` becomes `ecw_pull__north`."""
        return f"{of}{self.suffix}"

    @property
    def tags(self) -> list[str]:
        """What the practice's DAGs are found by in Airflow's list."""
        return [self.name] if self.name else []

    def variable(self, of: str) -> str:
        """Return the name of a Variable of the practice alone."""
        return f"{of}{self.suffix}"
