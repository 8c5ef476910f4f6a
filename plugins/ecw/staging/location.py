"""Where the staging area lies, and for how long runs are kept in it."""

from __future__ import annotations

import os
from pathlib import Path

from ecw.crm.state.retention import days
from ecw.settings import connections
from ecw.staging import filesystem

DAYS = 14.0  # rejects can be replayed for as long


def staging_root(asked: str | None = None) -> str:
    """Return the staging area: what was asked for, the Airflow Variable `ecw_staging`, else a folder in AIRFLOW_HOME.

    Any path that ObjectStoragePath takes; a local one becomes absolute.
    """
    root = asked or connections.variable("ecw_staging")
    if root is None:
        root = filesystem.join(os.environ.get("AIRFLOW_HOME", "~/airflow"), "ecw_staging")
    return root if "://" in root else str(Path(root).expanduser().resolve())


def staging_days() -> float:
    """Return for how many days runs are kept: the Airflow Variable `ecw_staging_days`, else 14.

    Raises ConfigurationError.
    """
    return days("ecw_staging_days", DAYS)
