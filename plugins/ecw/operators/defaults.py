"""What every task of the DAGs has, unless it says otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ecw.retry_policy import RETRY_POLICY


def task_defaults(*, hours: int = 6) -> dict[str, Any]:
    """Return a DAG's `default_args`: retried as the error asks for, and ended after so many hours."""
    return {
        "retries": 3,
        "retry_delay": timedelta(minutes=1),
        "retry_policy": RETRY_POLICY,
        "execution_timeout": timedelta(hours=hours),
    }
