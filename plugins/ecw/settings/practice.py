"""The configuration of one practice."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_CONNECTION, DEFAULT_CRM = "ecw_default", "crm_default"


@dataclass(frozen=True, slots=True)
class Practice:
    """The configuration of one practice; None or empty means the common default.

    `name` is the suffix of its DAG ids: the connection's id without `ecw_`; "" for the practice at `ecw_default`.
    """

    name: str
    connection: str = DEFAULT_CONNECTION
    crm_connection: str = DEFAULT_CRM
    schedule: str | None = None  # cron; else the Variable ecw_pull_schedule
    resources: tuple[str, ...] = ()  # else the Variable ecw_pull_resources
    mappings: Path | None = None  # a folder: its files replace those of the project
    quality: Path | None = None
    alerts: dict[str, Any] = field(default_factory=dict)  # the keys of the Variable ecw_alerts
    staging: str | None = None  # else the Variable ecw_staging
    pool: str = "ecw_api"
    push: bool = True
    vob_webhook: str = "vob_webhook"

    @property
    def suffix(self) -> str:
        """The suffix of the practice's DAG ids."""
        return f"__{self.name}" if self.name else ""

    def dag_id(self, of: str) -> str:
        """Return the id of one of the practice's DAGs: `ecw_pull` becomes `ecw_pull__north`."""
        return f"{of}{self.suffix}"

    @property
    def tags(self) -> list[str]:
        """The tags of the practice's DAGs in Airflow's list."""
        return [self.name] if self.name else []

    def variable(self, of: str) -> str:
        """Return the name of a Variable that is only for this practice."""
        return f"{of}{self.suffix}"
