"""The path of the staging area, and the days for which it keeps runs."""

from __future__ import annotations

import os
from pathlib import Path

from ecw.crm.state.retention import days
from ecw.settings import connections
from ecw.staging import filesystem

DAYS = 14.0  # rejects can be replayed during that time


def staging_root(asked: str | None = None) -> str:
    """Return the staging area: the argument, else the Airflow Variable `ecw_staging`, else a folder in AIRFLOW_HOME.

    It is any path that ObjectStoragePath takes; a local path becomes absolute.
    """
    root = asked or connections.variable("ecw_staging")
    if root is None:
        root = filesystem.join(os.environ.get("AIRFLOW_HOME", "~/airflow"), "ecw_staging")
    return root if "://" in root else str(Path(root).expanduser().resolve())


def staging_days() -> float:
    """Return the days for which runs are kept: the Airflow Variable `ecw_staging_days`, else 14.

    Raises ConfigurationError.
    """
    return days("ecw_staging_days", DAYS)
