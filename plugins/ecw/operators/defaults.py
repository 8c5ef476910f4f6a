"""The default arguments of the DAGs' tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ecw.retry_policy import RETRY_POLICY


def task_defaults(*, hours: int = 6) -> dict[str, Any]:
    """Return a DAG's `default_args`: the retries depend on the error, and a task times out after `hours`."""
    return {
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": RETRY_POLICY,
        "execution_timeout": timedelta(hours=hours),
    }
